# onestroke serve, as a user without rights. CPU:  docker build -t onestroke . && docker run --rm -p 8000:8000 onestroke
# NVIDIA:  docker build -t onestroke --build-arg BASE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 --build-arg RUNTIME=onnxruntime-gpu .
#          docker run --rm --gpus all -p 8000:8000 onestroke
ARG BASE=debian:trixie-slim
FROM ${BASE}
ARG RUNTIME=onnxruntime
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --shell /usr/sbin/nologin painter
COPY . /source
RUN python3 -m venv /app \
 && /app/bin/pip install --no-cache-dir "/source[serve]" \
 && if [ "${RUNTIME}" = onnxruntime ]; then /app/bin/pip uninstall -y onnxruntime-gpu && /app/bin/pip install --no-cache-dir onnxruntime; fi \
 && rm -rf /source
USER painter
EXPOSE 8000
# Set ONESTROKE_TOKEN to ask for one.
ENTRYPOINT ["/app/bin/onestroke", "serve", "--host", "0.0.0.0"]
