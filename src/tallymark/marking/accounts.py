"""For admins: who has an account, and what becomes of it."""

from __future__ import annotations

from typing import Any

from tallymark.errors import ConfigError
from tallymark.marking.gate import TeamSessions
from tallymark.marking.team import Team, made_password
from tallymark.marking.wire import AccountChange, NewAccount


class Accounts:
    """The accounts as an admin of the page changes them.

    Args:
        team: whose accounts.
        sessions: of the page; they follow a change at once.
    """

    def __init__(self, team: Team, sessions: TeamSessions) -> None:
        self._team = team
        self.sessions = sessions

    def listed(self) -> dict[str, Any]:
        """Name and role of everyone, and whether the user may come in."""
        users = self._team.users().items()
        return {"accounts": [{"name": name, "role": role, "active": active} for name, (role, active) in users]}

    def add(self, wanted: NewAccount, admin: str) -> dict[str, str]:
        """Make an account.

        Returns:
            Its password, which is told this once.

        Raises:
            ConfigError: this is no name, or an account has it.
        """
        password = made_password()
        self._team.add(wanted.name, wanted.role, password, by=admin)
        return {"password": password}

    def change(self, wanted: AccountChange, admin: str) -> dict[str, str]:
        """Change an account; who is in with it is out at once where it is blocked or gets a new password.

        Returns:
            The new password, where there is one.

        Raises:
            ConfigError: there is no such account, or it is the admin's own: nobody locks out the last admin.
        """
        if wanted.name == admin:
            raise ConfigError("your own account is changed by another admin, or by tallymark team", found=repr(admin))
        answer = {}
        match wanted.act:
            case "role":
                self._team.assign(wanted.name, wanted.role, by=admin)
            case "password":
                answer["password"] = made_password()
                self._team.renew(wanted.name, answer["password"], by=admin)
            case "block":
                self._team.disable(wanted.name, by=admin)
            case "unblock":
                self._team.enable(wanted.name, by=admin)
        self.sessions.recheck()
        return answer
