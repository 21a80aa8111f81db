"""Models of others that take two films and a question: behind an OpenAI chat endpoint, or of `transformers`.

`opening` reads a name (`openai:URL#MODEL`, `hf:NAME`); `prompts` is what they are asked; `answering` asks the cases of
a prepared folder, and `replies` keeps every reply in a journal, so that nothing is asked twice.
"""
