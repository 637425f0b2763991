"""Takes up prompts of the user, and takes queued ones back."""

from __future__ import annotations

import asyncio

from tui_agent.context import is_agreed, nested_memory
from tui_agent.events import MAIN_AGENT, PromptQueued, PromptWithdrawn, RunStarted
from tui_agent.session.core import SessionCore
from tui_agent.session.mentions import Expansion, expand_mentions
from tui_agent.submissions import Submit
from tui_agent.text import well_formed


class Prompts:
    """Prompts of one session, taken up in the order in which they came."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._submitting = asyncio.Lock()

    async def submit(self, submission: Submit) -> str:
        """Take up a prompt; return the id of its run, or of the queued prompt while another run is in progress."""
        self._core.require_writable()
        prompt = well_formed(submission.prompt)
        async with self._submitting:  # first come, first taken up, however long the files take
            expansion = Expansion(submission.content) if submission.content else await self._expand(prompt)
            return await self._take_up(prompt, expansion)

    async def _take_up(self, prompt: str, expansion: Expansion) -> str:
        content, files, memory = expansion.content, expansion.files, expansion.memory
        mentions = expansion.mentions
        async with self._core.services.prompts:
            if self._core.state.conversation.active_run is not None:
                prompt_id = self._core.runtime.new_id("prompt")
                queued = PromptQueued(
                    prompt_id=prompt_id, prompt=prompt, content=content, files=files, memory=memory, mentions=mentions
                )
                await self._core.recorder.record(queued)
                self._core.driver.go_on()
                return queued.prompt_id
            run = self._core.runtime.new_id("run")
            started = RunStarted(prompt=prompt, content=content, files=files, memory=memory, mentions=mentions)
            await self._core.recorder.scoped(run, MAIN_AGENT).record(started)
        self._core.driver.go_on()
        return run

    async def withdraw(self, prompt_id: str) -> str:
        """Take a queued prompt back and return its id; return nothing, and do nothing, once the agent has seen it."""
        self._core.require_writable()
        async with self._core.services.prompts:
            if all(prompt.prompt_id != prompt_id for prompt in self._core.state.conversation.queued):
                return ""
            await self._core.recorder.record(PromptWithdrawn(prompt_id=prompt_id))
            return prompt_id

    async def _expand(self, prompt: str) -> Expansion:
        if "@" not in prompt:
            return Expansion()
        model = self._core.services.catalog.find(self._core.state.conversation.model)
        workspace, home = self._core.services.workspace, self._core.runtime.home
        found = await asyncio.to_thread(
            expand_mentions, prompt, workspace, home, images=model.images, documents=model.documents
        )
        if not found.files:
            return found
        loaded = (await self._core.histories.load(MAIN_AGENT)).memory_loaded
        memory = await asyncio.to_thread(nested_memory, workspace, found.files, loaded, home)
        choice, config = self._core.services.memory_files, self._core.options.config_dir
        agreed = await asyncio.to_thread(is_agreed, memory.project, choice, config)
        return found.with_memory(memory.files if agreed else ())
