//! Everybody's Ethereum clients, installed into `<target>/peers/clients` as the registries have them, nothing patched:
//! ethers, viem, Hardhat and the Node it wants, Foundry's programs, solc's JavaScript build, web3.py.
//!
//! What is installed stands in `tests/clients`: `package-lock.json` pins every package with its hash, `requirements.txt` every
//! version. The stamp holds all three files: a folder with the same stamp is left alone.

use crate::tree;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What says which clients are wanted.
const LISTS: &[&str] = &["package.json", "package-lock.json", "requirements.txt"];
/// Written last.
const STAMP: &str = "installed";

fn folder(peers: &Path) -> PathBuf {
    peers.join("clients")
}

/// All lists in one text.
fn wanted(root: &Path) -> Result<String, String> {
    LISTS.iter().map(|name| tree::read(root, &format!("tests/clients/{name}"))).collect()
}

/// Whether what the lists of the repository at `root` want is in the folder of peers.
pub(crate) fn is_installed(root: &Path, peers: &Path) -> bool {
    let stamp = std::fs::read_to_string(folder(peers).join(STAMP));
    matches!((wanted(root), stamp), (Ok(wanted), Ok(stamp)) if wanted == stamp)
}

/// Installs them; the error says what is missing on this machine.
pub(crate) fn install(root: &Path, peers: &Path) -> Result<(), String> {
    let folder = folder(peers);
    if is_installed(root, peers) {
        println!("Ethereum clients: already in {}", folder.display());
        return Ok(());
    }
    println!("Ethereum clients: installing into {} (about a minute, 700 MB)", folder.display());
    let failed = |what: std::io::Error| format!("{}: {what}", folder.display());
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for name in LISTS {
        let text = tree::read(root, &format!("tests/clients/{name}"))?;
        std::fs::write(folder.join(name), text).map_err(failed)?;
    }
    // Not `npm ci`, which wants every optional package of every platform to be there.
    let npm = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run(Command::new("npm").args(npm).current_dir(&folder), "npm, of Node 20 or newer")?;
    let venv = folder.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "python3 with venv")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
    let list = folder.join("requirements.txt");
    run(Command::new(venv.join("bin/python")).args(pip).arg(list), "a Python package index")?;
    std::fs::write(folder.join(STAMP), wanted(root)?).map_err(failed)
}

fn run(command: &mut Command, needs: &str) -> Result<(), String> {
    let status = command.status();
    if status.as_ref().is_ok_and(std::process::ExitStatus::success) {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    Err(format!("Ethereum clients could not be installed: {program} failed; it needs {needs}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_lists_is_not_installed() {
        let (root, peers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(root.path().join("tests/clients")).unwrap();
        std::fs::create_dir_all(peers.path().join("clients")).unwrap();
        for name in LISTS {
            std::fs::write(root.path().join("tests/clients").join(name), name).unwrap();
        }
        assert!(!is_installed(root.path(), peers.path()));
        let stamp = peers.path().join("clients").join(STAMP);
        std::fs::write(&stamp, "package.jsonpackage-lock.jsonrequirements.txt").unwrap();
        assert!(is_installed(root.path(), peers.path()));
        std::fs::write(root.path().join("tests/clients/requirements.txt"), "web3==9").unwrap();
        assert!(!is_installed(root.path(), peers.path()));
    }

    #[test]
    fn the_lock_names_no_registry() {
        let lock = tree::read(&tree::root(), "tests/clients/package-lock.json").unwrap();
        assert!(!lock.contains("\"resolved\""), "set npm's omit-lockfile-registry-resolved and lock again");
    }
}
