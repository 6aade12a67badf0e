"""Projects: owners that several principals act as, each in a role."""

import time
import uuid
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import Connection, delete, insert, select, update

from serving.core.errors import MitoserveError
from serving.store.database import Database
from serving.store.tables import project_members, projects

Role = Literal["reader", "reviewer", "manager"]
"""`reader`: see; `reviewer`: also say something of results; `manager`: also bring, score, assign and delete slides, and choose members.
What a key or token may not do, no role allows."""

ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most; each includes those before it."""

OWNER_PREFIX = "project:"


class NoSuchProjectError(MitoserveError):
    """There is no such project, or it is one of others, which is answered alike."""

    slug = "not-found"


class MembershipError(MitoserveError):
    """A project would have no manager, or a member is no principal."""

    slug = "malformed-request"


@dataclass(frozen=True, slots=True)
class Project:
    """An owner that several principals act as."""

    id: str
    name: str
    created_at: float
    """Seconds since 1970."""

    @property
    def owner(self) -> str:
        """What owns the project's slides and analyses."""
        return f"{OWNER_PREFIX}{self.id}"


@dataclass(frozen=True, slots=True)
class Member:
    """Who may act as a project."""

    principal: str
    role: Role
    added_at: float
    """Seconds since 1970."""


def includes(role: Role, wanted: Role) -> bool:
    """Whether a role is or includes another."""
    return ROLES.index(role) >= ROLES.index(wanted)


class ProjectStore:
    """The projects of one server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, principal: str) -> Project:
        """A new project, whose first manager is `principal`."""
        project = Project(uuid.uuid4().hex[:12], name, time.time())
        row = {"id": project.id, "name": name, "created_at": project.created_at, "created_by": principal}
        with self._database.writing() as tx:
            tx.execute(insert(projects).values(row))
            _put_member(tx, project.id, principal, "manager", by=principal)
        return project

    def find_role(self, project: str, principal: str, *, administrator: bool) -> Role:
        """In which role a principal acts as a project; administrators act as managers of every one.

        Raises
        ------
        NoSuchProjectError
            If there is no such project, or the principal is no member.
        """
        with self._database.reading() as tx:
            if administrator:
                _require(tx, project)
                return "manager"
            mine = (project_members.c.project == project) & (project_members.c.principal == principal)
            role: Role | None = tx.execute(select(project_members.c.role).where(mine)).scalar()
        if role is None:
            raise _no_such(project)
        return role

    def get(self, project: str) -> Project:
        """The project; raises `NoSuchProjectError`."""
        with self._database.reading() as tx:
            return _require(tx, project)

    def members(self, project: str) -> list[Member]:
        """Who may act as a project, in the order in which they were added."""
        chosen = select(project_members).where(project_members.c.project == project)
        with self._database.reading() as tx:
            rows = tx.execute(chosen.order_by(project_members.c.added_at, project_members.c.principal))
            return [Member(row.principal, row.role, row.added_at) for row in rows]

    def set_member(self, project: str, principal: str, role: Role, *, by: str) -> None:
        """Let a principal act as a project, in this role from now on.

        by : who says so

        Raises
        ------
        NoSuchProjectError
            If there is no such project.
        MembershipError
            If the project would have no manager.
        """
        with self._database.writing() as tx:
            _require(tx, project)
            _put_member(tx, project, principal, role, by=by)
            _check_managed(tx, project)

    def remove_member(self, project: str, principal: str) -> None:
        """Let a principal act as a project no longer.

        Raises
        ------
        NoSuchProjectError
            If it is no member.
        MembershipError
            If the project would have no manager.
        """
        with self._database.writing() as tx:
            mine = (project_members.c.project == project) & (project_members.c.principal == principal)
            if not tx.execute(delete(project_members).where(mine)).rowcount:
                raise NoSuchProjectError(f"{principal[:80]!r} is no member of the project")
            _check_managed(tx, project)

    def list(self, principal: str | None) -> list[tuple[Project, Role]]:
        """The projects of a principal with its roles, by name; None for every project, as an administrator has them."""
        chosen = select(projects).order_by(projects.c.name, projects.c.id)
        with self._database.reading() as tx:
            if principal is None:
                return [(Project(row.id, row.name, row.created_at), "manager") for row in tx.execute(chosen)]
            mine = chosen.add_columns(project_members.c.role).join_from(
                projects, project_members, project_members.c.project == projects.c.id
            )
            found = tx.execute(mine.where(project_members.c.principal == principal))
            return [(Project(row.id, row.name, row.created_at), row.role) for row in found]


def _put_member(tx: Connection, project: str, principal: str, role: Role, *, by: str) -> None:
    mine = (project_members.c.project == project) & (project_members.c.principal == principal)
    if tx.execute(update(project_members).where(mine).values(role=role)).rowcount:
        return
    row = {"project": project, "principal": principal, "role": role, "added_at": time.time(), "added_by": by}
    tx.execute(insert(project_members).values(row))


def _check_managed(tx: Connection, project: str) -> None:
    managed = (project_members.c.project == project) & (project_members.c.role == "manager")
    if tx.execute(select(project_members.c.principal).where(managed).limit(1)).first() is None:
        raise MembershipError("a project has a manager; make somebody else one first")


def _require(tx: Connection, project: str) -> Project:
    row = tx.execute(select(projects).where(projects.c.id == project)).first()
    if row is None:
        raise _no_such(project)
    return Project(row.id, row.name, row.created_at)


def _no_such(project: str) -> NoSuchProjectError:
    return NoSuchProjectError(f"no project {project[:40]!r}; GET /v1/projects lists yours")
