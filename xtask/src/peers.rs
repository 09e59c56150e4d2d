//! Real nodes of others, installed into `<target>/peers`, for the whole-product tests.
//!
//! Versions are pinned: a test against "whatever is newest" proves nothing twice. A folder that has the right
//! version is left alone, so the second run costs nothing.

use crate::tree;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of btcd that the tests were written against.
const BTCD_VERSION: &str = "v0.26.2";
/// Programs of that release and the packages they are in; one module holds all of them.
const BTCD_PROGRAMS: &[(&str, &str)] = &[
    ("btcd", "github.com/btcsuite/btcd"),
    ("btcctl", "github.com/btcsuite/btcd/cmd/btcctl"),
    ("addblock", "github.com/btcsuite/btcd/cmd/addblock"),
];
/// With this set to 1 a peer that cannot be installed is an error, not a skipped test.
const REQUIRED: &str = "CHAINWRIGHT_REQUIRE_PEERS";

/// `cargo xtask peers`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let with_litecoind = match arguments {
        [] => false,
        ["--with-litecoind"] => true,
        _ => return Err("usage: cargo xtask peers [--with-litecoind]".to_owned()),
    };
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    btcd(&folder)?;
    if with_litecoind {
        litecoind()?;
    }
    Ok(())
}

/// Where peers are kept between runs: `CHAINWRIGHT_PEERS`, or `peers` in the target folder.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("CHAINWRIGHT_PEERS").map_or_else(|| tree::target_dir().join("peers"), PathBuf::from)
}

/// Whether anything has to be installed.
pub(crate) fn missing() -> bool {
    !is_installed(&folder())
}

fn stamp(folder: &Path) -> PathBuf {
    folder.join("btcd.version")
}

fn is_installed(folder: &Path) -> bool {
    let has_version = std::fs::read_to_string(stamp(folder)).is_ok_and(|text| text.trim() == BTCD_VERSION);
    has_version && BTCD_PROGRAMS.iter().all(|(name, _)| folder.join(name).is_file())
}

fn btcd(folder: &Path) -> Result<(), String> {
    if is_installed(folder) {
        println!("btcd {BTCD_VERSION}: already in {}", folder.display());
        return Ok(());
    }
    if Command::new("go").arg("version").output().is_err() {
        return unavailable(
            "btcd needs the Go tool chain to install",
            "install Go 1.24 or newer, or put btcd and btcctl on the path of CHAINWRIGHT_PEERS",
        );
    }
    println!("btcd {BTCD_VERSION}: installing into {} (about a minute)", folder.display());
    let packages = BTCD_PROGRAMS.iter().map(|(_, package)| format!("{package}@{BTCD_VERSION}"));
    let installed = Command::new("go").arg("install").args(packages).env("GOBIN", folder).status();
    if !installed.is_ok_and(|status| status.success()) {
        return unavailable(
            "btcd could not be installed",
            "see go's message above; a module proxy must be reachable",
        );
    }
    std::fs::write(stamp(folder), BTCD_VERSION).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Debian packages it; it is not installed here, only looked for.
fn litecoind() -> Result<(), String> {
    match Command::new("litecoind").arg("--version").output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            println!("{}", text.lines().next().unwrap_or_default());
            Ok(())
        }
        Err(_) => unavailable("litecoind is not on the path", "Debian: apt install litecoind"),
    }
}

fn unavailable(what: &str, hint: &str) -> Result<(), String> {
    if std::env::var_os(REQUIRED).is_some_and(|value| value == "1") {
        return Err(format!("{what}, and {REQUIRED}=1\nhint: {hint}"));
    }
    println!("SKIPPED: {what}\nhint: {hint}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_every_program_or_with_another_version_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed(folder.path()));
        for (name, _) in BTCD_PROGRAMS {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        assert!(!is_installed(folder.path()));
        std::fs::write(stamp(folder.path()), "v0.1.0").unwrap();
        assert!(!is_installed(folder.path()));
        std::fs::write(stamp(folder.path()), BTCD_VERSION).unwrap();
        assert!(is_installed(folder.path()));
    }
}
