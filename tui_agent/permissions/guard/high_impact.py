"""Calls whose effect reaches beyond the project or cannot be taken back.

Class of attack: a broad rule, or a mode that asks little, lets through what its user never thought of: services,
users, kernel settings, set-uid, scheduled jobs, forced pushes, containers with the host's root, the removal of cloud
resources, clusters and databases, installing from an address, ending programs by pattern, filling disks. A rule covers
such a call only where it names the program and the word that makes it one. The mode bypass lets it run only inside
the sandbox.
"""

# ruff: noqa: E501 -- a row of the tables is one line

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings

_ALWAYS = {
    "sysctl": "", "modprobe": "loads code into the kernel", "insmod": "loads code into the kernel",
    "rmmod": "takes code out of the kernel", "iptables": "changes the network", "ip6tables": "changes the network",
    "nft": "changes the network", "ufw": "changes the network", "firewall-cmd": "changes the network",
    "nmcli": "changes the network", "useradd": "changes users", "userdel": "changes users", "usermod": "changes users",
    "adduser": "changes users", "deluser": "changes users", "groupadd": "changes users", "groupdel": "changes users",
    "groupmod": "changes users", "gpasswd": "changes users", "chpasswd": "changes users", "passwd": "changes users",
    "visudo": "changes users", "chsh": "changes users", "setcap": "gives a program privileges", "at": "runs later", "batch": "runs later",
    "crontab": "runs later", "pkill": "ends programs by pattern", "killall": "ends programs by pattern",
    "killall5": "ends every program", "skill": "ends programs by pattern", "dropdb": "removes a database",
    "dropuser": "removes a user", "mount": "changes what is mounted", "umount": "changes what is mounted",
    "swapoff": "changes the memory", "swapon": "changes the memory", "kexec": "starts another kernel",
    "update-alternatives": "changes the system's programs", 
    "git-filter-repo": "rewrites history", "bfg": "rewrites history", "hostnamectl": "changes the machine",
    "timedatectl": "changes the machine", "localectl": "changes the machine", "loginctl": "changes sessions",
    "launchctl": "changes services", "service": "changes services", "rc-service": "changes services", "update-rc.d": "changes services",
    "chkconfig": "changes services", "systemd-run": "runs later",
}  # fmt: skip
"""Programs of which every call that is not known to only read is one, with what it does."""

_HARMLESS_FLAGS = frozenset(
    ["--help", "--version", "-h", "-V", "-l", "--list", "-L", "-S", "list", "status", "show", "-n", "--dry-run"]
)

_BY_WORDS: tuple[tuple[str, str, str], ...] = (
    (r"git", r"push (?:.* )?(-f|-\w*f\w*|--force\S*|--mirror|--delete|-d|--prune|\+\S+|:\S+)(?: .*)?", "changes what others have"),
    (r"git", r"(?:.* )?(filter-branch|filter-repo|replace)(?: .*)?", "rewrites history"),
    (r"git", r"reflog (expire|delete|drop)(?: .*)?", "removes what could bring commits back"),
    (r"git", r"gc (?:.* )?(--prune\S*|--aggressive)(?: .*)?", "removes what could bring commits back"),
    (r"git", r"update-ref (?:.* )?(-d|--stdin)(?: .*)?", "removes references"),
    (r"systemctl", r"(?:-\S+ )*(start|stop|restart|reload|try-restart|reload-or-restart|enable|disable|reenable|mask|unmask|kill|edit|link|revert|preset|"
     r"isolate|daemon-reload|daemon-reexec|set-property|set-environment|unset-environment|import-environment|set-default|add-wants|add-requires|"
     r"freeze|thaw|clean|suspend|hibernate|switch-root|kexec|soft-reboot)(?: .*)?", "changes services"),
    (r"ip", r"(?:-\S+ )*\w+ (add|del|delete|set|change|replace|flush|append|change)(?: .*)?", "changes the network"),
    (r"ifconfig", r"\S+ (\S+)(?: .*)?", "changes the network"),
    (r"route|brctl", r"(?:-\S+ )*(add|del|addbr|delbr|addif|flush)(?: .*)?", "changes the network"),
    (r"tc", r"\w+ (add|del|replace|change)(?: .*)?", "changes the network"),
    (r"chmod", r"(?:.* )?([ugoa]*[+=][rwxXt]*s\w*|0?[2-7][0-7]{3})(?: .*)?", "sets the set-uid bit"),
    (r"docker|podman|nerdctl", r"(?:.* )?(--privileged\S*|--pid[= ]host|--ipc[= ]host|--uts[= ]host|--userns[= ]host|--net(?:work)?[= ]host|"
     r"--cap-add\S*|--device\S*|--security-opt\S*|(?:-v|--volume|--mount)[= ]?\S*(?:docker\.sock|podman\.sock)\S*|-v ?/:\S*|--volume[= ]/:\S*|--mount[= ]\S*(?:source|src)=/,\S*|"
     r"-v ?/(?:etc|root|home|proc|sys|dev|var|usr|boot)\S*|--volume[= ]/(?:etc|root|home|proc|sys|dev|var|usr|boot)\S*)(?: .*)?", "gives a container the host"),
    (r"docker|podman|nerdctl", r"(?:.* )?(prune|reset)(?: .*)?", "removes containers, images or volumes"),
    (r"docker|podman|nerdctl", r"(?:-\S+ )*volume (rm|remove)(?: .*)?", "removes data"),
    (r"docker|docker-compose|podman", r"(?:compose )?(?:.* )?down (?:.* )?(-v|--volumes|--rmi\S*)(?: .*)?", "removes data"),
    (r"kubectl|oc|k3s|k|kubectx", r"(?:.* )?(delete|drain|cordon|taint|replace|evict)(?: .*)?", "changes a cluster"),
    (r"kubectl|oc", r"(?:.* )?scale (?:.* )?(--replicas[= ]0)(?: .*)?", "stops what runs in a cluster"),
    (r"helm", r"(?:-\S+ )*(uninstall|delete|del|un|rollback)(?: .*)?", "changes a cluster"),
    (r"terraform|tofu|terragrunt", r"(?:-\S+ )*(destroy|apply|taint|untaint|force-unlock|import)(?: .*)?", "changes the cloud"),
    (r"terraform|tofu|terragrunt", r"(?:-\S+ )*state (rm|mv|push|replace-provider)(?: .*)?", "changes the cloud's state"),
    (r"pulumi|cdk|sam|serverless|sls|amplify|copilot|eksctl", r"(?:-\S+ )*(?:\w+ )?(destroy|down|delete|remove|rm)(?: .*)?", "removes from the cloud"),
    (r"aws", r"(?:.* )?((?:delete|terminate|remove|deregister|purge|revoke|detach|disable|stop|reboot|reset)-\S+|rm|rb|mb|sync)(?: .*)?", "changes the cloud"),
    (r"gcloud|az|doctl|heroku|flyctl|fly|linode-cli|ibmcloud|oci|hcloud|scw|vercel|netlify|firebase|wrangler|railway|gsutil|bq",
     r"(?:.* )?(\S*(?:delete|destroy|remove|purge|reset|terminate)\S*|rm|rb)(?: .*)?", "removes from the cloud"),
    (r"gh|glab|hub", r"(?:-\S+ )*(?:[\w-]+ )?(delete|archive|transfer|rename|delete-asset)(?: .*)?", "removes what others have"),
    (r"gh", r"api (?:.* )?(-X ?DELETE|--method[= ]DELETE)(?: .*)?", "removes what others have"),
    (r"psql|mysql|mariadb|sqlite3|sqlcmd|clickhouse-client|cockroach|duckdb|bq|mongosh|mongo|cqlsh|usql|pgcli|mycli",
     r"(?is)(?:.* )?(\S*\b(?:drop|truncate|dropdatabase|deletemany|alter\s+user|grant)\b.*|\S*delete\s+from.*)", "removes from a database"),
    (r"mysqladmin", r"(?:.* )?(drop|shutdown|flush-\S+|kill|password)(?: .*)?", "changes a database"),
    (r"redis-cli|valkey-cli", r"(?i)(?:.* )?(flushall|flushdb|shutdown|config|debug|del|unlink)(?: .*)?", "removes from a database"),
    (r"rails|rake|bin/rails", r"(?:.* )?(db:(?:drop|reset|purge|setup|truncate_all|schema:load|structure:load)\S*)(?: .*)?", "removes a database"),
    (r"python3?|django-admin|manage\.py", r"(?:\S*manage\.py )?(flush|reset_db|sqlflush)(?: .*)?", "removes from a database"),
    (r"prisma|npx", r"(?:prisma )?(?:migrate (reset)|db (push) .*--force-reset)(?: .*)?", "removes a database"),
    (r"pip3?|uv|pipx|poetry|pdm|pipenv|conda|mamba", r"(?:.* )?(?:install|add|run|tool|sync)(?: .*)? ((?:git|hg|svn|bzr)\+\S+|(?:\S+ ?@ ?)?https?://\S+|--(?:extra-)?index-url\S*|-i|--find-links\S*|-f)(?: .*)?", "installs from an address"),
    (r"npm|pnpm|yarn|bun|npx|bunx|deno", r"(?:.* )?((?:git\+\w+|https?|git|ssh|github|gitlab|bitbucket|gist)://?\S*|(?:github|gitlab|bitbucket|gist):\S+|--registry\S*)(?: .*)?", "installs from an address"),
    (r"npm|pnpm|yarn|bun", r"(?:\S+ )*(?:install|i|in|add) (?:.* )?(\w[\w.-]*/[\w.-]+(?:#\S+)?)(?: .*)?", "installs from an address"),
    (r"curl|wget|http|https|xh", r"(?:.* )?(-\w*X(?i:delete)|--(?:request|method)=(?i:delete)|(?i:delete))(?: .*)?", "removes what others have"),
    (r"cargo", r"install (?:.* )?(--git|--index|--registry)\S*(?: .*)?", "installs from an address"),
    (r"go", r"(?:install|run|get) (?:.* )?(\S+\.\S+/\S+@\S+)(?: .*)?", "installs from an address"),
    (r"gem|bundle|luarocks|cpan|cpanm|composer|opam|cabal|nimble", r"(?:.* )?(--source\S*|-s|https?://\S+|git\+\S+|--repo\S*)(?: .*)?", "installs from an address"),
    (r"apt|apt-get|dnf|yum|zypper|apk|pacman|brew|snap|flatpak|aptitude", r"(?:.* )?(remove|purge|autoremove|erase|uninstall|full-upgrade|dist-upgrade|"
     r"-R\w*|del|\S*\.(?:deb|rpm|apk|snap)|https?://\S+|--allow-\S+|--force-\S+|add-repository|tap)(?: .*)?", "changes the system's programs"),
    (r"dpkg", r"(?:.* )?(-i|--install|-r|--remove|-P|--purge|--force-\S+|--unpack|--configure)(?: .*)?", "changes the system's programs"),
    (r"rpm", r"(?:.* )?(-[iUFe]\w*|--install|--upgrade|--erase|--import)(?: .*)?", "changes the system's programs"),
    (r"kill", r"(?:.* )?(-1|--?\S*-1)", "ends every program"),
    (r"dd", r"(?:.* )?(if=/dev/(?:zero|urandom|random|full))(?: .*)?", "can fill the disk"),
    (r"truncate", r"(?:.* )?((?:-s ?|--size[= ])\+?\d+[GTPE]\w*)(?: .*)?", "can fill the disk"),
    (r"fallocate", r"(?:.* )?(-l\S*|--length\S*)(?: .*)?", "can fill the disk"),
)  # fmt: skip
"""Program, the words behind it with the decisive one as a group, and what the call does."""

_COMPILED = tuple((re.compile(name), re.compile(words, re.DOTALL), what) for name, words, what in _BY_WORDS)


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about each such call that no rule names; firmly where it would not run inside the sandbox."""
    for command in line.commands:
        if not command.words or command.index in line.usages:
            continue
        decisive, what = impact(command)
        if what and not _named(line, command, decisive, surroundings):
            return Finding("ask", f"{command.shown()} {what}", firm=not surroundings.hides)
    return PASS


def impact(command: Command) -> tuple[str, str]:
    """Return the word that makes the call one of high impact, and what it does; two empty texts for any other."""
    name, arguments = command.name, command.argv[1:]
    what = _ALWAYS.get(name, "")
    if what and not (arguments and set(arguments) & _HARMLESS_FLAGS):
        return name, what
    if name == "sysctl" and any("=" in text or text in ("-w", "-p", "--system", "--load") for text in arguments):
        return name, "changes the kernel's settings"
    text = " ".join(arguments)
    if len(text) > 4000:
        text = text[:4000]
    for program, words, effect in _COMPILED:
        if program.fullmatch(name) and (match := words.fullmatch(text)):
            return next((group for group in match.groups() if group), name), effect
    return "", ""


def _named(line: Line, command: Command, decisive: str, surroundings: Surroundings) -> bool:
    """Say whether a rule that allows the call names the program and the decisive word."""
    wanted = set(decisive.split(" ")) | {decisive}
    at: Command | None = command
    while at is not None:
        for rule in surroundings.rules.bash("allow"):
            named = {token.text for token in rule.tokens or () if token.raw != "*" and not token.glob}
            if (
                command.name in {text.rsplit("/", 1)[-1] for text in named}
                and wanted & named
                and rule.matches_words(at.argv)
            ):
                return True
        at = line.commands[at.parent] if at.parent >= 0 else None
    return False
