# skcnn without a GPU, in an image of its own:
#
#   docker build -t skcnn .
#   docker run --rm -it -v "$PWD:/work" skcnn python my_script.py
#
FROM python:3.13-slim
COPY . /opt/skcnn
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        -c /opt/skcnn/constraints.txt /opt/skcnn && \
    rm -rf /opt/skcnn && \
    useradd --create-home --uid 1000 ecologist
# For users of other numbers, who have no home: docker run --user "$(id -u):$(id -g)"
ENV MPLCONFIGDIR=/tmp/matplotlib
USER 1000
WORKDIR /work
CMD ["python"]
