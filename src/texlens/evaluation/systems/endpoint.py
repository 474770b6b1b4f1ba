"""A server with OpenAI's chat interface as a system: vLLM, llama.cpp, Ollama, another TexLens, or a service."""

import base64
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import httpx

from texlens.core.errors import DataError, ModelError, one_line
from texlens.data.sample import LazyImage, Sample
from texlens.evaluation.systems.prediction_file import prediction_of
from texlens.inference.decoding.sampling import Sampling
from texlens.inputs.chat_template import PromptStyle
from texlens.metrics.prediction import Prediction

KEY_VARIABLES = ("TEXLENS_ENDPOINT_KEY", "OPENAI_API_KEY")
"""Where the key of a server is taken from; it is never stored."""
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class EndpointSource:
    """`url` ends in /v1; the name of a model may follow after `#`, else it is the first that the server names."""

    name: str
    url: str
    style: PromptStyle

    @cached_property
    def base_url(self) -> str:
        return self.url.partition("#")[0].rstrip("/")

    @cached_property
    def model(self) -> str:
        """
        Raises:
            ModelError: the server does not answer, or names no model.
        """
        if named := self.url.partition("#")[2]:
            return named
        try:
            with _client(self.base_url) as client:
                answer = client.get("models").raise_for_status().json()
            return str(answer["data"][0]["id"])
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise ModelError(
                f"{_shown(self.base_url)}: no model named ({one_line(error, 200)}); start it, or add #MODEL"
            ) from None

    def identity(self) -> dict[str, Any]:
        """What the server's weights are is not known; `--no-cache` asks it again."""
        return {
            "endpoint": _shown(self.base_url),
            "model": self.model,
            "prompt": [self.style.system_prompt, self.style.prompt],
        }

    def open(self) -> "EndpointReader":
        return EndpointReader(self.base_url, self.model, self.style)


@dataclass(frozen=True)
class EndpointReader:
    base_url: str
    model: str
    style: PromptStyle

    def generate(
        self, samples: Sequence[Sample], *, sampling: Sampling | None = None, batch_size: int = 16, seed: int = 0
    ) -> Iterator[Prediction]:
        """A request for each sample, `batch_size` at a time; a request that fails gives a failed prediction."""
        sampling = sampling or Sampling()
        with _client(self.base_url) as client, ThreadPoolExecutor(batch_size) as pool:
            yield from pool.map(lambda sample: self._read(client, sample, sampling, seed), samples)

    def _read(self, client: httpx.Client, sample: Sample, sampling: Sampling, seed: int) -> Prediction:
        try:
            answer = client.post("chat/completions", json=self._request(sample, sampling, seed))
            answer.raise_for_status()
            choice = answer.json()["choices"][0]
            text = plain_latex(str(choice["message"]["content"] or ""))
        except (httpx.HTTPError, DataError, ValueError, LookupError, TypeError) as error:
            return prediction_of(sample, None, one_line(error, 300) or type(error).__name__)
        prediction = prediction_of(sample, text)
        return replace(prediction, stop="length") if choice.get("finish_reason") == "length" else prediction

    def _request(self, sample: Sample, sampling: Sampling, seed: int) -> dict[str, Any]:
        style = self.style.of(sample)
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": _data_url(image)}} for image in sample.images
        ]
        content.append({"type": "text", "text": style.prompt.replace("<image>", "")})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if style.system_prompt:
            messages.insert(0, {"role": "system", "content": style.system_prompt})
        return {
            "model": self.model,
            "messages": messages,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature or 0.0,
            "seed": seed,
        }


def plain_latex(text: str) -> str:
    r"""The formula without code fence, `$` or `\[ \]` around it, which general models add.

    Example:
        "$$x^2$$" -> "x^2"
    """
    text = text.strip()
    if fenced := re.fullmatch(r"```\w*\n?(.*?)\n?```", text, re.DOTALL):
        text = fenced[1].strip()
    for pattern in (r"\$\$(.*)\$\$", r"\$([^$]*)\$", r"\\\[(.*)\\\]", r"\\\((.*)\\\)"):
        if matched := re.fullmatch(pattern, text, re.DOTALL):
            return matched[1].strip()
    return text


def _client(base_url: str) -> httpx.Client:
    key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=f"{base_url}/", headers=headers, timeout=TIMEOUT_S)


def _shown(url: str) -> str:
    """The URL without user name and password."""
    return re.sub(r"(?<=//)[^/@]*@", "", url)


def _data_url(image: LazyImage) -> str:
    data = image.encoded()
    kind = {"JPEG": "jpeg", "WEBP": "webp", "GIF": "gif"}.get(image.header.format, "png")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
