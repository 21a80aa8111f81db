# The command line in a container: `docker run IMAGE serve demo --host 0.0.0.0`, or a step of a router (mercure).
FROM python:3.13-slim
COPY . /intervalchange
RUN pip install --no-cache-dir -c /intervalchange/constraints.txt '/intervalchange[models,serve]' \
    && useradd --create-home reader && install -d -o reader /watch/state
USER reader
WORKDIR /watch
ENTRYPOINT ["intervalchange"]
CMD ["watch", "demo"]
