# Every recipe is one plain command, so that `just` itself is a convenience. `just --list` names them all.

# what CI runs: everything, from a clean state, with vectors and peers required
check:
    bash .ci/run

# every check and every test; ends with `N passed, N failed`
test *FLAGS:
    cargo xtask test {{FLAGS}}

# format every Rust file
fmt:
    cargo fmt --all

# a local network in one command
dev *FLAGS:
    cargo run --release -- dev {{FLAGS}}

# install the real nodes that the whole-product tests talk to
peers:
    cargo xtask peers

# seeded bugs that the tests must find
mutants *NAMES:
    cargo xtask mutants {{NAMES}}

# the API documentation of every crate
docs:
    cargo doc --no-deps --workspace

# the chain laws on every cell, over this many seeds
laws SEEDS="50":
    cargo run -p chainwright-sim --bin laws -- --seeds {{SEEDS}}

# measure against peers: `sync` (our import, theirs, from a file and from a peer) unless said otherwise
bench *WHAT="sync":
    cargo build --release
    cargo run --release -p chainwright-bench -- {{WHAT}}

# the table of coins alone
bench-coins:
    cargo run --release -p chainwright-bench-store

# the search for logs, and what indexes cost
bench-logs:
    cargo run --release -p chainwright-bench-logs

# the state trie alone
bench-trie:
    cargo run --release -p chainwright-bench-state-root
