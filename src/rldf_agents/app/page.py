"""The page that visitors see, in Gradio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gradio as gr

from rldf_agents.app import view
from rldf_agents.app.choices import Choice
from rldf_agents.app.live_search import FAILED, LiveSearch
from rldf_agents.app.pictures import read_upload, saved, uploaded_path
from rldf_agents.app.tool import PictureToPrompt
from rldf_agents.app.visitors import Place, Visitor, Visitors
from rldf_agents.errors import AgentError
from rldf_gym.errors import RLDFError
from rldf_gym.goal import load_picture

SECONDS_BETWEEN_PICTURES = 0.15
"""The least time between two updates of a running search."""

_KEEP_FILES = (600, 3600)
"""Every so many seconds, files are deleted that are older than so many."""

_TITLE = "What does this picture mean?"
_INTRODUCTION = f"""<header class="intro"><h1>{_TITLE}</h1>
<p>Drop a picture. An agent walks from prompt to prompt until a generated picture reads the same.
Then move what it found: the weather, the time of day, the place.</p></header>"""
_PRIVACY = """<footer class="privacy">Your picture stays on the machine that serves this page. It is
deleted when you close the tab.</footer>"""
_SHOW_LINK = "(link) => { if (link) history.replaceState(null, '', link) }"
_PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


def make_page(visitors: Visitors, tool: PictureToPrompt | None = None) -> gr.Blocks:
    """Return the page, for `gradio.mount_gradio_app`.

    Args:
        visitors: who see it.
        tool: what assistants can call; None for nothing.

    Raises:
        RLDFError: the default generator cannot be used.
    """
    blocks = _Page(visitors).blocks
    if tool is not None:
        with blocks:
            _offer(tool)
    return blocks


def _offer(tool: PictureToPrompt) -> None:
    def picture_to_prompt(picture: str) -> dict[str, Any]:
        """Find the prompt that a picture means, verified by generating pictures of it.

        Args:
            picture: path of a picture file on this machine, or a data: URL in base 64.

        Returns:
            The prompt; what was read in the picture; whether a generated picture reads the same;
            reasons for doubt; the number of pictures seen.
        """
        with _messages():
            return tool(picture)

    gr.api(picture_to_prompt, api_name="picture_to_prompt", concurrency_limit=None)


class _Page:
    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=_KEEP_FILES) as blocks:
            gr.HTML(_INTRODUCTION)
            self.problem = gr.HTML(visible=False, elem_id="problem")
            with gr.Row(elem_id="search"):
                with gr.Column(elem_id="target"):
                    self._lay_out_target()
                with gr.Column(visible=False, elem_id="watch") as self.watch:
                    self.live = gr.HTML()
            with gr.Column(visible=False, elem_id="explore") as self.explore:
                self._lay_out_sliders()
            gr.HTML(_PRIVACY)
            self._connect(blocks)
        self.blocks = blocks

    def _lay_out_target(self) -> None:
        choices = self._visitors.choices
        default = choices.default
        self.picture = gr.Image(
            label="Your picture",
            type="filepath",
            sources=["upload", "clipboard"],
            placeholder="# Drop a picture here\nor click to choose one",
            buttons=[],
            height=320,
            elem_id="picture",
            alt_text="Your picture",
        )
        # Gradio's own would open the file, without the checks of `load_picture`.
        self.picture.preprocess = uploaded_path
        self.start = gr.Button("Try the example picture", variant="primary", elem_id="start")
        with gr.Row(elem_id="running"):
            self.resume = gr.Button(
                "Continue", variant="primary", visible=False, elem_id="continue"
            )
            self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
        with gr.Accordion("Options", open=False, elem_id="options"):
            worlds = list(choices.worlds(default.generator))
            self.world = gr.Dropdown(worlds, value=default.world, label="World")
            self.generator = gr.Dropdown(
                list(choices.generators), value=default.generator, label="Generator"
            )
            self.learner = gr.Dropdown(
                list(choices.learners), value=default.learner, label="Learner"
            )
            self.reward = gr.Dropdown(list(choices.rewards), value=default.reward, label="Reward")

    def _lay_out_sliders(self) -> None:
        self.axes = gr.State()
        gr.HTML(
            '<h2>Move it</h2><p class="note">One slider for each choice in the prompt. The'
            " picture follows.</p>"
        )
        with gr.Row():
            with gr.Column(elem_id="compared"):
                self.compare = gr.ImageSlider(
                    label="Your picture and the generated one",
                    type="filepath",
                    interactive=False,
                    buttons=[],
                    elem_id="compare",
                )
                self.alone = gr.Image(
                    label="The generated picture",
                    interactive=False,
                    buttons=[],
                    elem_id="alone",
                    alt_text="The generated picture",
                )
            with gr.Column(elem_id="sliders"):
                self.prompt = gr.HTML(elem_id="prompt")
                gr.render(inputs=[self.axes], triggers=[self.axes.change])(self._draw_sliders)
                self.link = gr.Textbox(
                    label="Link to this picture",
                    buttons=["copy"],
                    interactive=False,
                    max_lines=1,
                    elem_id="link",
                )

    def _connect(self, blocks: gr.Blocks) -> None:
        chosen = [self.world, self.generator, self.learner, self.reward]
        shown = [
            *(self.problem, self.watch, self.live),
            *(self.picture, self.start, self.stop, self.resume),
            *self._explored,
        ]
        running = {"concurrency_limit": None, "trigger_mode": "multiple", **_PRIVATE}
        self.picture.upload(self._upload, [self.picture, *chosen], shown, **running)
        self.start.click(self._start, chosen, shown, **running)
        self.resume.click(self._resume, None, shown, **running)
        self.stop.click(self._stop, None, None, queue=False, **_PRIVATE)
        self.picture.clear(self._clear, None, shown, queue=False, **_PRIVATE)
        self.generator.input(self._worlds, [self.generator], [self.world], **_PRIVATE)
        self.link.change(None, [self.link], None, js=_SHOW_LINK)
        # Past the queue: its stream of events could close as the first picture is dropped.
        restored = [self.problem, *self._explored]
        blocks.load(self._restore, None, restored, queue=False, **_PRIVATE)
        blocks.unload(self._leave)

    @property
    def _explored(self) -> list[Any]:
        return [self.explore, self.axes, self.compare, self.alone, self.prompt, self.link]

    def _upload(self, request: gr.Request, path: str, *chosen: str) -> Iterator[dict[Any, Any]]:
        visitor = self._visitor(request)
        with _messages():
            visitor.target = read_upload(path)
        yield {self.picture: saved(visitor, visitor.target)}
        yield from self._search(visitor, Choice(*chosen), request)

    def _start(self, request: gr.Request, *chosen: str) -> Iterator[dict[Any, Any]]:
        visitor = self._visitor(request)
        if visitor.target is None:
            yield {self.picture: saved(visitor, load_picture())}
        yield from self._search(visitor, Choice(*chosen), request)

    def _resume(self, request: gr.Request) -> Iterator[dict[Any, Any]]:
        visitor = self._visitor(request)
        search = visitor.search
        if search is None or not search.can_continue:
            raise gr.Error("There is nothing to continue: start a search", print_exception=False)
        search.start()
        yield from self._watched(visitor, search, request)

    def _search(
        self, visitor: Visitor, choice: Choice, request: gr.Request
    ) -> Iterator[dict[Any, Any]]:
        with _messages():
            search = visitor.start(choice)
        yield from self._watched(visitor, search, request)

    def _watched(
        self, visitor: Visitor, search: LiveSearch, request: gr.Request
    ) -> Iterator[dict[Any, Any]]:
        yield {
            self.problem: gr.update(visible=False),
            self.watch: gr.update(visible=True),
            self.start: gr.update(visible=False),
            self.resume: gr.update(visible=False),
            self.stop: gr.update(visible=True),
            self.explore: gr.update(visible=False),
        }
        for progress in search.watch(SECONDS_BETWEEN_PICTURES):
            if visitor.search is not search:
                return
            yield {self.live: view.live(progress)}
        if search.progress.phase == FAILED:
            gr.Warning(search.progress.error)
        yield {
            self.start: gr.update(value="Search again", variant="secondary", visible=True),
            self.resume: gr.update(visible=search.can_continue),
            self.stop: gr.update(visible=False),
            **self._exploration(visitor, visitor.settle(search), request),
        }

    def _stop(self, request: gr.Request) -> None:
        search = self._visitor(request).search
        if search is not None:
            search.stop()

    def _clear(self, request: gr.Request) -> dict[Any, Any]:
        visitor = self._visitor(request)
        visitor.clear()
        return {
            self.watch: gr.update(visible=False),
            self.explore: gr.update(visible=False),
            self.start: gr.update(value="Try the example picture", variant="primary", visible=True),
            self.stop: gr.update(visible=False),
            self.resume: gr.update(visible=False),
        }

    def _worlds(self, generator: str) -> Any:
        with _messages():
            worlds = self._visitors.choices.worlds(generator)
        return gr.update(choices=list(worlds), value=worlds[0])

    def _restore(self, request: gr.Request) -> dict[Any, Any]:
        visitor = self._visitor(request)
        try:
            place = visitor.restore(request.query_params)
            return self._exploration(visitor, place, request)
        except (AgentError, RLDFError) as error:
            message = view.message(f"This link cannot be restored: {error}")
            return {
                self.problem: gr.update(value=message, visible=True),
                self.explore: gr.update(visible=False),
            }

    def _leave(self, request: gr.Request) -> None:
        self._visitors.leave(request.session_hash)

    def _draw_sliders(self, axes: list[view.Axis] | None) -> None:
        sliders = [
            gr.Slider(
                *(0, max(1, len(axis["values"]) - 1), axis["label"]),
                step=1,
                label=_slider_label(axis, axis["label"]),
                info=_range(axis["values"]),
                interactive=len(axis["values"]) > 1,
                buttons=[],
                elem_classes="axis",
            )
            for axis in axes or ()
        ]

        def move(request: gr.Request, *state: float) -> dict[Any, Any]:
            visitor = self._visitor(request)
            with _messages():
                place = visitor.move([int(label) for label in state])
                moved = self._moved(visitor, place, request)
            labels = [
                _slider_label(axis, int(n)) for axis, n in zip(axes or (), state, strict=True)
            ]
            return moved | {
                slider: gr.update(label=label)
                for slider, label in zip(sliders, labels, strict=True)
            }

        outputs = [self.compare, self.alone, self.prompt, self.link, *sliders]
        if sliders:
            gr.on(
                [slider.input for slider in sliders],
                *(move, sliders, outputs),
                queue=False,
                trigger_mode="always_last",
                **_PRIVATE,
            )

    def _exploration(
        self, visitor: Visitor, place: Place | None, request: gr.Request
    ) -> dict[Any, Any]:
        if place is None:
            return {self.explore: gr.update(visible=False)}
        return {
            self.explore: gr.update(visible=True),
            self.axes: view.axes(place),
            **self._moved(visitor, place, request),
        }

    def _moved(self, visitor: Visitor, place: Place, request: gr.Request) -> dict[Any, Any]:
        picture = visitor.picture(place)
        result = saved(visitor, picture)
        target, both = place.target, None
        if target is not None:
            both = (saved(visitor, target, picture.shape), result)
        return {
            self.compare: gr.update(value=both, visible=both is not None),
            self.alone: gr.update(value=None if both else result, visible=both is None),
            self.prompt: view.prompt(place),
            self.link: f"{_origin(request)}?{place.query}" if place.query else "",
        }

    def _visitor(self, request: gr.Request) -> Visitor:
        return self._visitors.get(request.session_hash)


@contextmanager
def _messages() -> Iterator[None]:
    """Turn errors about what a visitor gave into messages on the page."""
    try:
        yield
    except (AgentError, RLDFError, OSError) as error:
        raise gr.Error(" ".join(str(error).split()), print_exception=False) from error


def _slider_label(axis: view.Axis, label: int) -> str:
    return f"{axis['name']}: {axis['values'][label]}"


def _range(values: list[str]) -> str:
    return " · ".join(values) if len(values) <= 5 else f"{values[0]} … {values[-1]}"


def _origin(request: gr.Request) -> str:
    headers: Mapping[str, str] = request.headers
    return headers.get("origin") or f"http://{headers.get('host', '')}"
