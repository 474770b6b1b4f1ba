# docker build -t texlens .                                      CPU
# docker build -t texlens:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 \
#   --build-arg EXTRAS=gpu,export .                              CUDA (the driver comes from the host: --gpus all)
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=export
ARG PIP_INDEX_URL=https://pypi.org/simple

# A C compiler, for Triton's launchers.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" --extra-index-url "$PIP_INDEX_URL" torch==2.13.0 \
    && pip install --no-cache-dir --index-url "$PIP_INDEX_URL" -c constraints.txt ".[$EXTRAS]"

RUN useradd --create-home --uid 1000 texlens
USER 1000
# Caches are in the mounted folder; USER is a name for any user number.
ENV HF_HOME=/data/.cache/huggingface MODELSCOPE_CACHE=/data/.cache/modelscope XDG_CACHE_HOME=/data/.cache \
    TRITON_CACHE_DIR=/data/.cache/triton TORCHINDUCTOR_CACHE_DIR=/data/.cache/inductor USER=texlens PYTHONUNBUFFERED=1
WORKDIR /data
EXPOSE 8000
ENTRYPOINT ["texlens"]
CMD ["--help"]
