"""`shelflens deploy`, `rollback` and `deployments`: which model answers for a catalogue."""

from itertools import islice
from typing import Annotated

import typer

from shelflens.cli.catalogs import Catalog
from shelflens.cli.model_text import SHORT_DIGEST, deployment_lines, storage
from shelflens.cli.output import AsJson, Limit, Target, connect, print_json, say, show_table
from shelflens.cli.watching import finish, tell_how_to_rejoin, wait_for
from shelflens.model_options import DeployOptions, check_deploy_options

_SPELLED = {"compare_searches": "--compare"}
app = typer.Typer(
    help="List and delete the deployments of a catalogue.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def deploy_command(
    context: typer.Context,
    catalog: Catalog,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="With or without models/.")],
    quantization: Annotated[
        str | None,
        typer.Option(help="none or int8; as the vector storage is set up unless given."),
    ] = None,
    on_disk: Annotated[bool, typer.Option("--on-disk", help="Keep the vectors on disk.")] = False,
    compare: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Before the switch, run so many searches of users by both models."
        ),
    ] = None,
    compare_seconds: Annotated[
        int | None, typer.Option(metavar="S", help="Wait at most so long for them; 600.")
    ] = None,
    discard_old: Annotated[
        bool, typer.Option("--discard-old", help="Do not keep what was live for a rollback.")
    ] = False,
    gate: Annotated[
        str | None,
        typer.Option(metavar="DATASET", help="Measure it first; refuse it if it is worse."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME@K", help="Of the gate; map@10 unless given.")
    ] = None,
    min_difference: Annotated[
        float | None, typer.Option(help="How much better it must be; 0 unless given.")
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Deploy it even if it is worse; that is recorded.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is live.")] = True,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Fill a collection by another model beside the live one and switch; search goes on."""
    options = DeployOptions(
        quantization=quantization,
        on_disk=on_disk,
        compare_searches=compare,
        compare_seconds=compare_seconds,
        discard_old=discard_old,
        gate=gate,
        metric=metric,
        min_difference=min_difference,
        override=override,
    )
    check_deploy_options(options, _spell)
    with connect(context, target) as client:
        operation = client.deploy(catalog, model, **options)
        if wait:
            operation = wait_for(client, operation.name)
    if wait:
        finish(operation, as_json=as_json)
        if compare and operation.deployment and not operation.deployment.comparison:
            say("no search came to be compared")
        if not as_json and not discard_old:
            say(f"to switch back: shelflens rollback {catalog}")
    elif as_json:
        print_json(operation)
    else:
        tell_how_to_rejoin(operation)


def rollback_command(
    context: typer.Context,
    catalog: Catalog,
    to: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="This deployment instead of the one that was live before."
        ),
    ] = None,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Switch back to a deployment that is kept, at once."""
    with connect(context, target) as client:
        deployment = client.rollback(catalog, to)
    if as_json:
        print_json(deployment)
        return
    for line in deployment_lines(deployment):
        typer.echo(line)


@app.command("list")
def list_(
    context: typer.Context,
    catalog: Catalog,
    limit: Limit = 100,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """List the deployments of a catalogue, newest first."""
    with connect(context, target) as client:
        show_table(
            islice(client.list_deployments(catalog), limit),
            (
                ("NUMBER", lambda each: each.number),
                ("STATE", lambda each: each.state),
                ("MODEL", lambda each: each.model),
                ("DIGEST", lambda each: each.model_digest[:SHORT_DIGEST]),
                ("IMAGES", lambda each: each.image_count),
                (
                    "LIVE SINCE",
                    lambda each: f"{each.switch_time:%Y-%m-%d %H:%M}" if each.switch_time else "",
                ),
                ("STORAGE", storage),
            ),
            as_json=as_json,
            empty=f"no deployments of {catalog}",
        )


@app.command()
def delete(
    context: typer.Context,
    catalog: Catalog,
    number: Annotated[int, typer.Argument(min=1, metavar="N", help="As the list numbers them.")],
    wait: Annotated[bool, typer.Option(help="Wait until it is gone.")] = True,
    target: Target = None,
    as_json: AsJson = False,
) -> None:
    """Remove the collection of a deployment that is kept."""
    with connect(context, target) as client:
        operation = client.delete_deployment(catalog, number)
        if wait:
            operation = wait_for(client, operation.name)
    if wait:
        finish(operation, as_json=as_json)
    elif as_json:
        print_json(operation)
    else:
        tell_how_to_rejoin(operation)


def _spell(option: str) -> str:
    return _SPELLED.get(option, f"--{option.replace('_', '-')}")
