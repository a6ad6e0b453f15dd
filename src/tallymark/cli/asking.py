"""Asking somebody at the terminal for what was not said, until the answer can be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import typer

from tallymark.errors import ConfigError, TallymarkError

Check = Callable[[str], object]
"""Raises a :class:`TallymarkError` for an answer that cannot be used."""


class Asker:
    """Asks for what was not given where somebody is there to answer; else says which option is missing.

    Args:
        somebody: whether anybody is there.
    """

    def __init__(self, somebody: bool) -> None:
        self._somebody = somebody
        self.answers: dict[str, str] = {}

    def __call__(
        self,
        given: str | None,
        option: str,
        question: str,
        *,
        choices: Sequence[str] = (),
        shown: Sequence[str] = (),
        check: Check | None = None,
    ) -> str:
        """What was given, or what somebody answers.

        Args:
            given: with the option; None: it was not.
            option: that says the same.
            question: to ask.
            choices: that alone are possible.
            shown: with the question, to choose from.
            check: what else the answer must hold to.

        Raises:
            ConfigError: nothing was given and nobody is there; or what was given is none of the choices.
            TallymarkError: what was given fails the check.
        """

        def sound(answer: str) -> None:
            choice(answer, option, choices)
            if check is not None:
                check(answer)

        listed = ", ".join(choices or shown)
        if given is not None:
            sound(given)
            return given
        if not self._somebody:
            remedy = f"say so with {option}: it is never guessed"
            raise ConfigError(question, where=option, expected=listed or None, remedy=remedy)
        return self._answer(option, f"{question} ({listed})" if listed else question, sound)

    def maybe(self, option: str, question: str, check: Check) -> str | None:
        """What somebody says of something that need not be said; None if it is nothing."""
        return self._answer(option, question, check, default="") or None

    def _answer(self, option: str, question: str, check: Check, default: str | None = None) -> str:
        while True:
            said = typer.prompt(question, default=default, show_default=False, prompt_suffix=" ", err=True)
            answer = str(said).strip()
            if not answer and default is not None:
                return answer
            try:
                check(answer)
            except TallymarkError as error:
                typer.echo(str(error), err=True)
                continue
            self.answers[option] = answer
            return answer


def choice(given: str | None, option: str, choices: Sequence[str]) -> None:
    """Refuse what is not offered; nothing given, or nothing to choose from, is never refused.

    Raises:
        ConfigError: it is none of the choices.

    Example:
        >>> choice("dot", "--decimal", ("point", "comma"))
        Traceback (most recent call last):
        ...
        tallymark.errors.ConfigError: --decimal: this is not offered; found 'dot'; expected point or comma
    """
    if given is not None and choices and given not in choices:
        expected = " or ".join(choices) if len(choices) < 3 else ", ".join(choices)
        raise ConfigError("this is not offered", where=option, found=repr(given), expected=expected)
