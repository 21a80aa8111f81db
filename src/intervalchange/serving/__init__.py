"""`intervalchange serve`: a run behind HTTP. Two films in, an answer out; nothing is kept.

app        the routes                        guard     what a request must be before anybody reads it
decoding   films are read in a process of their own, which may die of them
desk       questions wait in a bounded queue and are answered in batches
recent_films, registration: a film is decoded once; a prior is laid over a current film
replies    what an answer looks like         chat      the same, asked by OpenAI's chat protocol
"""
