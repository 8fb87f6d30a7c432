"""Bundles on boards, over SSH: copied, proven there, switched to in one step, taken back.

`on_board` is a script that the board's own Python runs from the command line: nothing of edgecnn
has to be there. `ssh` is the connection, `remote` what can be asked of a board over it, and
`deployment` the way of one bundle to one board.

On a board, below `~/.local/share/edgecnn`:

    staging/SHA256                 bytes that have arrived so far
    claims/                        what deployments under way are bringing
    bundles/NAME-HASH/             a bundle, named by the hash of its manifest
    venvs/VERSION-HASH/            an installation, named by the hash of what was installed
    releases/BUNDLE@VENV/          a bundle with the installation that passed its check:
        bundle -> ../../bundles/...
        venv -> ../../venvs/...
    history.jsonl                  what was switched to, when, and what that was trained on
    current -> releases/...        what runs
    previous -> releases/...       what `--rollback` goes back to
    collected/                     frames that a service keeps with `--collect collected`
"""
