"""From a configuration to policy, value and writer. Models are loaded here, and only what is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnqed.assemble.config import RunConfig
from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput, ModelMismatch
from burnqed.core.ports import ProofWriter, TacticPolicy, ValueFn
from burnqed.core.seeding import child_seed
from burnqed.core.tally import Tally
from burnqed.policy.config import PolicyConfig, SamplingConfig
from burnqed.policy.gathered import GatheredPolicy
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.mixed import MixedPolicy
from burnqed.prompts.formats import PromptFormat, prompt_format
from burnqed.search.config import SearchConfig
from burnqed.value.config import ValueConfig
from burnqed.value.gathered import GatheredValue
from burnqed.value.trivial import TRIVIAL, TrivialValue

if TYPE_CHECKING:  # torch and the HTTP client are loaded for those who use them
    from burnqed.models.language_model import LanguageModel
    from burnqed.policy.remote import Tokenizer
    from burnqed.remote.config import EndpointConfig
    from burnqed.remote.endpoint import Endpoint

ABOUT_MODEL = "burnqed.json"
"""In a model's folder: what burnqed knows of it, such as ``{"prompt_format": "markers"}``."""

Judging = tuple[ValueFn, Calibration | None]
Proposing = tuple[TacticPolicy, ProofWriter | None]


@dataclass
class Parts:
    """What searches run with.

    ``search`` has the weight that the value's calibration found, where the configuration names none; ``about`` says which
    models they are, for the record of the run; ``model`` is the policy's, if it is in this process.
    """

    policy: TacticPolicy
    value: ValueFn
    search: SearchConfig
    writer: ProofWriter | None = None
    calibration: Calibration | None = None
    tally: Tally = field(default_factory=Tally)
    about: dict[str, Any] = field(default_factory=dict)
    model: LanguageModel | None = None


@contextlib.asynccontextmanager
async def open_parts(config: RunConfig, *, menu: MenuPolicy) -> AsyncIterator[Parts]:
    """Make the parts; leaving closes connections. Raises BadInput, ModelMismatch or ModelError with what is wrong."""
    async with contextlib.AsyncExitStack() as stack:
        making = _Making(config, stack)
        main, writer = await making.policy(menu)
        share = config.policy.menu_share
        policy = MixedPolicy(main, menu, share=share, tally=making.tally) if share and main is not menu else main
        value, calibration = await making.value()
        search = config.search
        if calibration is not None and "value_weight" not in search.model_fields_set:
            search = search.model_copy(update={"value_weight": calibration.value_weight})
            making.about["value"]["value_weight"] = search.value_weight
        about = {"models": making.about} if making.about else {}
        model = making.shared[0] if making.shared else None
        yield Parts(policy, value, search, writer, calibration, making.tally, about, model)


class _Making:
    """One configuration being turned into parts. Policy first: the value may share its model."""

    def __init__(self, config: RunConfig, stack: contextlib.AsyncExitStack) -> None:
        self.config = config
        self.tally = Tally()
        self.about: dict[str, Any] = {}
        self.shared: tuple[LanguageModel, PromptFormat] | None = None
        self._stack = stack
        self._seed = config.search.seed

    async def policy(self, menu: MenuPolicy) -> Proposing:
        """The policy without the menu beside it, and the writer of whole proofs if one is asked for."""
        policy = self.config.policy
        if policy.kind == "menu":
            return menu, None
        return await self._local_policy(policy) if policy.kind == "model" else await self._remote_policy(policy)

    async def value(self) -> Judging:
        """The value, and the calibration that is stored with it."""
        value = self.config.value
        if value.kind == "head":
            return await self._head_value(value)
        if value.kind == "server":
            return await self._remote_value(value)
        return TrivialValue(TRIVIAL[value.kind]), None

    async def _local_policy(self, policy: PolicyConfig) -> Proposing:
        assert policy.model is not None
        model = await asyncio.to_thread(_load, policy.model, policy)
        from burnqed.policy.local import LocalProofWriter

        form = model_format(policy.model, policy.prompt_format)
        model.check(form)
        self.shared = (model, form)
        self.about["policy"] = {"model": model.card(form).model, "prompt_format": form.name}
        self._stack.callback(model.close)
        main = self._tactics(model, form, policy)
        if policy.gather:
            main = GatheredPolicy(main, most=policy.gather)
        if not self.config.search.whole_proofs:
            return main, None
        writing = prompt_format(policy.writer.prompt_format)
        model.check(writing)
        return main, LocalProofWriter(model, writing, _writing(policy), seed=self._seed, tally=self.tally)

    @property
    def _bare_prompts(self) -> bool:
        """Whether some of the policy's prompts begin as those of a value do, without premises."""
        return not self.config.policy.premises or _bare_samples(self.config.policy) > 0

    def _tactics(self, model: LanguageModel, form: PromptFormat, policy: PolicyConfig) -> TacticPolicy:
        """The model's tactics; of two kinds of prompts, where a share is to be without premises."""
        from burnqed.policy.local import LocalPolicy

        def of(samples: int, premises: int, seed: int) -> LocalPolicy:
            sampling = policy.sampling.model_copy(update={"samples": samples})
            return LocalPolicy(model, form, sampling, seed=seed, tally=self.tally, premises=premises)

        samples, without = policy.sampling.samples, _bare_samples(policy)
        if without in (0, samples):
            return of(samples, 0 if without else policy.premises, self._seed)
        # Seeds of their own: where the library has nothing to offer both prompts are the same.
        bare = of(without, 0, child_seed(self._seed, "without premises"))
        return MixedPolicy(
            of(samples - without, policy.premises, self._seed), bare, share=without / samples, tally=self.tally
        )

    async def _remote_policy(self, policy: PolicyConfig) -> Proposing:
        from burnqed.policy.completions import CompletionsClient
        from burnqed.policy.remote import RemotePolicy, RemoteProofWriter
        from burnqed.policy.sglang import SGLangClient

        make = SGLangClient if policy.kind == "sglang" else CompletionsClient
        endpoint = await self._endpoint(policy.url, policy.endpoint)
        client = make(endpoint, policy, seed=self._seed, tally=self.tally, tokenizer=_tokenizer(policy.tokenizer))
        await client.ready()
        form = prompt_format(policy.prompt_format)
        self.about["policy"] = {"server": policy.url, "prompt_format": form.name}
        main = RemotePolicy(client, form, policy.sampling)
        if not self.config.search.whole_proofs:
            return main, None
        return main, RemoteProofWriter(client, prompt_format(policy.writer.prompt_format), _writing(policy))

    async def _head_value(self, value: ValueConfig) -> Judging:
        with _models_extra():
            from burnqed.joint.energy_head import load_head
            from burnqed.models.embedding_cache import EmbeddingCache
            from burnqed.models.encoder import Encoder
            from burnqed.value.head import HeadValue

        assert value.head is not None
        head = load_head(value.head)
        shares = self.shared is not None and value.encoder in (None, self.config.policy.model)
        if self.shared is not None and shares:
            model, form = self.shared
        else:
            assert value.encoder is not None
            model = await asyncio.to_thread(_load, value.encoder, value)
            form = prompt_format(head.card.prompt_format)
            model.check(form)
        encoder = Encoder(
            model,
            form,
            max_batch_tokens=value.batch_tokens,
            max_tokens=head.card.max_tokens,
            cache=EmbeddingCache(tally=self.tally),
            keep=shares and self._bare_prompts,
            tally=self.tally,
        )
        head.card.require(encoder.card, what=f"the energy head in {value.head}", accepted=value.accept)
        self.about["value"] = {"head": str(value.head), "encoder": encoder.card.digest}
        judge: ValueFn = HeadValue(encoder, head, run=model.run)
        if gather := self.config.policy.gather:
            judge = GatheredValue(judge, most=gather * self.config.search.slice_size)
        return judge, head.calibration

    async def _remote_value(self, value: ValueConfig) -> Judging:
        from burnqed.value.encode_client import EncodeClient
        from burnqed.value.remote import RemoteValue

        endpoint = await self._endpoint(value.url, value.endpoint)
        card = (await EncodeClient(endpoint, tally=self.tally).info()).card
        form = prompt_format(card.prompt_format)
        head = None
        if value.head is not None:
            with _models_extra():
                from burnqed.joint.energy_head import load_head

            head = load_head(value.head)
        remote = RemoteValue(endpoint, form, head=head, accepted=value.accept, tally=self.tally)
        await remote.check()
        self.about["value"] = {"server": value.url, "encoder": card.digest}
        return remote, head.calibration if head is not None else await remote.calibration()

    async def _endpoint(self, url: str, config: EndpointConfig) -> Endpoint:
        from burnqed.remote.endpoint import Endpoint

        rng = random.Random(child_seed(self._seed, "endpoint", url))
        return await self._stack.enter_async_context(Endpoint(url, config, rng=rng, tally=self.tally))


def _bare_samples(policy: PolicyConfig) -> int:
    """How many samples of a state are drawn from the prompt without premises, where others are drawn with them."""
    return round(policy.without_premises * policy.sampling.samples) if policy.premises else 0


def _load(folder: Path, how: PolicyConfig | ValueConfig) -> LanguageModel:
    """Blocking, seconds of it for torch alone: in a thread of its own, so that Lean can start meanwhile."""
    with _models_extra():
        from burnqed.models.language_model import LanguageModel

        return LanguageModel.load(folder, device=how.device, dtype=how.dtype, quantization=how.quantization)


def model_format(folder: Path, name: str) -> PromptFormat:
    """The format of that name; without one, that which the model's folder names (:data:`ABOUT_MODEL`), else ``markers``.

    Raises ModelMismatch when the folder names another: what a model was trained on is not a matter of taste.
    """
    about = folder / ABOUT_MODEL
    stored = ""
    if about.exists():
        try:
            stored = json.loads(about.read_text(encoding="utf-8"))["prompt_format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelMismatch(f"{about} is damaged: {error}") from error
    if name and stored and name != stored:
        raise ModelMismatch(f"the model in {folder} was trained on the prompt format {stored}, not {name}")
    return prompt_format(name or stored or "markers")


def _writing(policy: PolicyConfig) -> SamplingConfig:
    """How whole proofs are drawn: as tactics are, but for what the writer's section says."""
    return SamplingConfig(**policy.writer.model_dump(exclude={"prompt_format"}))


def _tokenizer(folder: Path | None) -> Tokenizer | None:
    if folder is None:
        return None
    with _models_extra():
        from burnqed.models.folder_tokenizer import FolderTokenizer

        return FolderTokenizer(folder)


@contextlib.contextmanager
def _models_extra() -> Iterator[None]:
    """Say in a sentence that torch or transformers is not installed; the menu needs neither."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise BadInput(
            f"models in this process need the package {error.name}; install it with: pip install 'burnqed[models]'"
        ) from error
