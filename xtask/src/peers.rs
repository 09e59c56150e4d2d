//! Real nodes of others, installed into `<target>/peers`, for the whole-product tests.
//!
//! Versions are pinned: a test against "whatever is newest" proves nothing twice. A folder that has the right
//! version is left alone, so the second run costs nothing.

use crate::{clients, tree};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A peer written in Go: one version, and the packages its programs are in.
struct GoPeer {
    name: &'static str,
    /// The release that the tests were written against.
    version: &'static str,
    programs: &'static [(&'static str, &'static str)],
    /// How long installing takes.
    pace: &'static str,
}

const GO_PEERS: &[GoPeer] = &[
    GoPeer {
        name: "btcd",
        version: "v0.26.2",
        // One module holds all of them.
        programs: &[
            ("btcd", "github.com/btcsuite/btcd"),
            ("btcctl", "github.com/btcsuite/btcd/cmd/btcctl"),
            ("addblock", "github.com/btcsuite/btcd/cmd/addblock"),
        ],
        pace: "about a minute",
    },
    GoPeer {
        name: "geth",
        version: "v1.16.7",
        programs: &[("geth", "github.com/ethereum/go-ethereum/cmd/geth")],
        pace: "about three minutes",
    },
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
    for peer in GO_PEERS {
        peer.install(&folder)?;
    }
    if let Err(why) = clients::install(&tree::root(), &folder) {
        unavailable(&why, "see the message above; the tests of tests/clients need them")?;
    }
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
    let folder = folder();
    !GO_PEERS.iter().all(|peer| peer.is_installed(&folder)) || !clients::is_installed(&tree::root(), &folder)
}

impl GoPeer {
    fn stamp(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.version", self.name))
    }

    fn is_installed(&self, folder: &Path) -> bool {
        let version = std::fs::read_to_string(self.stamp(folder));
        version.is_ok_and(|text| text.trim() == self.version)
            && self.programs.iter().all(|(name, _)| folder.join(name).is_file())
    }

    fn install(&self, folder: &Path) -> Result<(), String> {
        let Self { name, version, pace, .. } = self;
        if self.is_installed(folder) {
            println!("{name} {version}: already in {}", folder.display());
            return Ok(());
        }
        if Command::new("go").arg("version").output().is_err() {
            return unavailable(
                &format!("{name} needs the Go tool chain to install"),
                &format!("install Go 1.24 or newer, or put {name} on the path of CHAINWRIGHT_PEERS"),
            );
        }
        println!("{name} {version}: installing into {} ({pace})", folder.display());
        let packages = self.programs.iter().map(|(_, package)| format!("{package}@{version}"));
        let installed = Command::new("go").arg("install").args(packages).env("GOBIN", folder).status();
        if !installed.is_ok_and(|status| status.success()) {
            return unavailable(
                &format!("{name} could not be installed"),
                "see go's message above; a module proxy must be reachable",
            );
        }
        let stamp = self.stamp(folder);
        std::fs::write(&stamp, version).map_err(|error| format!("{}: {error}", stamp.display()))
    }
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
        for peer in GO_PEERS {
            let folder = tempfile::tempdir().unwrap();
            assert!(!peer.is_installed(folder.path()));
            for (name, _) in peer.programs {
                std::fs::write(folder.path().join(name), b"").unwrap();
            }
            assert!(!peer.is_installed(folder.path()));
            std::fs::write(peer.stamp(folder.path()), "v0.1.0").unwrap();
            assert!(!peer.is_installed(folder.path()));
            std::fs::write(peer.stamp(folder.path()), peer.version).unwrap();
            assert!(peer.is_installed(folder.path()));
        }
    }
}
