//! Where things are: the workspace, its binary, peers, vectors, and ports nobody uses.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("this package lies one folder below the root").to_path_buf()
}

/// Where build output and caches go: `CARGO_TARGET_DIR`, or `target` in the root.
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Where `cargo xtask peers` installs: `CHAINWRIGHT_PEERS`, or `peers` in the target folder.
pub fn peers_folder() -> PathBuf {
    std::env::var_os("CHAINWRIGHT_PEERS").map_or_else(|| target_folder().join("peers"), PathBuf::from)
}

/// The program of a real peer, or `None` after saying loudly that the test is skipped.
///
/// # Panics
///
/// When the peer is missing and `CHAINWRIGHT_REQUIRE_PEERS=1`.
pub fn peer(name: &str) -> Option<PathBuf> {
    let program = peers_folder().join(name);
    if program.is_file() {
        return Some(program);
    }
    let missing =
        format!("{name} is not in {} (install it with `cargo xtask peers`)", peers_folder().display());
    assert!(!is_required("CHAINWRIGHT_REQUIRE_PEERS"), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

/// The folder of official vectors, or `None` after saying loudly that the test is skipped.
///
/// # Panics
///
/// When the folder is missing and `CHAINWRIGHT_REQUIRE_VECTORS=1`.
pub fn vectors() -> Option<PathBuf> {
    let beside = || workspace().parent().map(|parent| parent.join("shared/vectors")).unwrap_or_default();
    let folder = std::env::var_os("CHAINWRIGHT_VECTORS").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let missing = format!("no vectors in {} (set CHAINWRIGHT_VECTORS)", folder.display());
    assert!(!is_required("CHAINWRIGHT_REQUIRE_VECTORS"), "{missing}");
    eprintln!("SKIPPED: {missing}");
    None
}

fn is_required(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

/// The product: `CHAINWRIGHT_BINARY`, or `chainwright` of this workspace, built once per test program.
///
/// # Panics
///
/// When it does not build.
pub fn chainwright() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(binary) = std::env::var_os("CHAINWRIGHT_BINARY") {
            return PathBuf::from(binary);
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", "chainwright-cli"]).current_dir(workspace());
        let output = build.output().expect("cargo runs: it started this test");
        assert!(
            output.status.success(),
            "the binary does not build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        target_folder().join("debug/chainwright")
    })
}

/// A port on loopback that nobody listens on now, and that this program has not been given before.
///
/// # Panics
///
/// When the system has no port left.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1_000 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        if GIVEN.lock().expect("nobody panics while holding it").insert(port) {
            return port;
        }
    }
    panic!("no free port on loopback");
}
