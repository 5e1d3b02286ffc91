"""Commands about clusters."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from search.commands.options import RESULTS, Address, StudyFile

JobsAddress = Annotated[
    str, typer.Option(metavar="http://HOST:8265", help="The cluster's Jobs API.")
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="As `submit` named it.")]
Out = Annotated[
    Path, typer.Option(metavar="DIR", help="Where the study's folder is made; all machines see it.")
]
Folder = Annotated[
    str | None, typer.Option(metavar="DIR", help="Where it is started there; this folder if none.")
]
Python = Annotated[
    str | None, typer.Option(metavar="PATH", help="The Python there that has seqtune; else this.")
]
Setup = Annotated[
    str | None, typer.Option(metavar="FILE", help="A shell file there to begin with.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it; else print it.")
]


def render_slurm(
    study: StudyFile,
    nodes: Annotated[int, typer.Option(help="Machines.")] = 2,
    cpus: Annotated[int, typer.Option(help="CPUs of each.")] = 8,
    gpus: Annotated[int, typer.Option(help="GPUs of each.")] = 0,
    memory: Annotated[str | None, typer.Option(help="Memory of each, such as 64G.")] = None,
    time: Annotated[str, typer.Option(help="The time limit of one job.")] = "24:00:00",
    notice_seconds: Annotated[
        int, typer.Option(help="How long before its end a job begins to save everything.")
    ] = 120,
    partition: Annotated[str | None, typer.Option()] = None,
    account: Annotated[str | None, typer.Option()] = None,
    out: Out = RESULTS,
    folder: Folder = None,
    python: Python = None,
    setup: Setup = None,
    output: Output = None,
) -> None:
    """A batch script: head and workers in one job, going on in follow-up jobs."""
    from cluster.slurm import Allocation, render
    from search.terminal.rendering import give, work_of

    work = work_of(study, out=out, folder=folder, python=python, setup=setup)
    asked = Allocation(
        nodes=nodes,
        cpus=cpus,
        gpus=gpus,
        memory=memory,
        time=time,
        notice_seconds=notice_seconds,
        partition=partition,
        account=account,
    )
    give(render(work, asked), output)


def render_ssh(
    study: StudyFile,
    host: Annotated[
        list[str], typer.Option(metavar="USER@HOST", help="A machine; the first is the head.")
    ],
    head: Annotated[
        str | None, typer.Option(metavar="IP", help="How the others reach the head.")
    ] = None,
    port: Annotated[int, typer.Option(help="A free port of the head.")] = 6379,
    cpus: Annotated[int | None, typer.Option(help="CPUs of each; else what it has.")] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs of each; else what it has.")] = None,
    out: Out = RESULTS,
    folder: Folder = None,
    python: Python = None,
    setup: Setup = None,
    output: Output = None,
) -> None:
    """A script that keeps one connection to each machine, and Ray alive there."""
    from cluster.ssh import Machines, render
    from search.terminal.rendering import give, work_of

    work = work_of(study, out=out, folder=folder, python=python, setup=setup)
    give(render(work, Machines(host, head=head, port=port, cpus=cpus, gpus=gpus)), output)


def render_kubernetes(
    study: StudyFile,
    image: Annotated[str, typer.Option(help="With Python, Ray and seqtune.")],
    claim: Annotated[str, typer.Option(help="The PersistentVolumeClaim of the results.")],
    workers: Annotated[int, typer.Option(help="Pods that train.")] = 2,
    cpus: Annotated[int, typer.Option(help="CPUs of each pod.")] = 4,
    gpus: Annotated[int, typer.Option(help="GPUs of each pod that trains.")] = 0,
    memory: Annotated[str, typer.Option(help="Memory of each pod.")] = "16Gi",
    retries: Annotated[int, typer.Option(help="How often a lost job is tried again.")] = 3,
    python: Python = "python",
    setup: Setup = None,
    output: Output = None,
) -> None:
    """A manifest: the study, and the RayJob of KubeRay that runs it."""
    from cluster.kubernetes import Pods, render
    from search.store.environment import installed_version
    from search.terminal.rendering import companions, give, work_of

    work = work_of(study, out=RESULTS, folder="", python=python, setup=setup)
    pods = Pods(
        image=image,
        claim=claim,
        ray_version=installed_version("ray") or "",
        workers=workers,
        cpus=cpus,
        gpus=gpus,
        memory=memory,
        retries=retries,
        files=companions(study),
    )
    give(render(work, pods, study.read_text("utf-8")), output)


def check(
    address: Address = None,
    out: Out = RESULTS,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="Machines that there must be, the head included.")
    ] = None,
    wait_seconds: Annotated[
        float, typer.Option(min=0, help="How long to wait for all of them.")
    ] = 0.0,
) -> None:
    """Ask every machine what would go wrong: versions, GPUs, clock, storage, authentication."""
    from search.terminal.checking import check_cluster

    text, right = check_cluster(address, out, nodes, wait_seconds)
    typer.echo(text, nl=False)
    if not right:
        raise typer.Exit(2)


def submit(
    study: StudyFile,
    address: JobsAddress,
    out: Annotated[
        str, typer.Option(metavar="DIR", help="A folder that all machines of the cluster see.")
    ],
    python: Python = "python",
    setup: Setup = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show what it prints.")] = False,
) -> None:
    """Send a study to a Ray cluster, code and files with it; it runs there by itself."""
    from search.terminal.submitting import submit_study, tell

    work = {"out": out, "python": python, "setup": setup}
    job = submit_study(study, address, work, typer.echo)
    if follow:
        raise typer.Exit(tell(address, job, partial(typer.echo, nl=False)))


def logs(job: Job, address: JobsAddress) -> None:
    """What a submitted study prints, from its beginning to its end."""
    from search.terminal.submitting import tell

    raise typer.Exit(tell(address, job, partial(typer.echo, nl=False)))


def ask(
    job: Job,
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND [OPTION]...", help="Such as: stop --trial 7.")
    ],
    address: JobsAddress,
) -> None:
    """Have a command asked about a submitted study: status, watch, stop, resume, confirm."""
    from search.terminal.submitting import ask_job

    raise typer.Exit(ask_job(address, job, words, partial(typer.echo, nl=False)))


def stop(job: Job, address: JobsAddress) -> None:
    """End a submitted study with everything saved."""
    from search.terminal.submitting import stop_job

    stop_job(address, job, typer.echo)


render_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Write the file that runs a study there."
)
render_app.command("slurm")(render_slurm)
render_app.command("ssh")(render_ssh)
render_app.command("kubernetes")(render_kubernetes)

cluster_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
cluster_app.command("check")(check)
cluster_app.command("submit")(submit)
cluster_app.command("logs")(logs)
cluster_app.command("stop")(stop)
# options that it does not know are the asked command's, so its own come before the job
cluster_app.command(
    "ask", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)(ask)
cluster_app.add_typer(render_app, name="render")


@cluster_app.callback()
def cluster() -> None:
    """Run studies on Slurm, Kubernetes, machines over SSH or a Ray cluster; check a cluster."""
