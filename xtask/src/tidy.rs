//! Ceilings and habits that a compiler does not see. Each rule is one function from text to findings.
//!
//! - no Rust file over [`LINES_MAX`] lines, tests included; every module starts with `//!`
//! - no unfinished code, no ignored test without a reason, no crate that is called after nothing
//! - the crates with rules in them touch no clock, disk or socket ([`PURE`])
//! - links in Markdown lead somewhere, every decision record stands in the index
//! - the map names every crate with its invariant, the README every recipe's command
//! - no file too big to review, no path of somebody's machine

use crate::{links, tree};
use std::path::Path;

/// Longest Rust file.
const LINES_MAX: usize = 650;
/// Largest file of any kind, in bytes; `Cargo.lock` aside.
const BYTES_MAX: usize = 500_000;
/// Folder names that promise nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "types", "util", "utils", "helpers", "primitives", "misc"];
/// Crates whose rules must be replayable: what they may not name in product code.
const PURE: &[&str] = &["crates/chain/", "crates/consensus/", "crates/ledger/", "crates/network/"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "SystemTime",
    "Instant::now",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::process",
    "getrandom",
];

/// Everything untidy in the repository at `root`.
pub(crate) fn findings(root: &Path) -> Result<Vec<String>, String> {
    let files = tree::files(root)?;
    let mut findings = empty_names(&files);
    for path in &files {
        let text = tree::read(root, path)?;
        findings.extend(size(path, text.len()));
        findings.extend(machine_paths(path, &text));
        if is_rust(path) {
            findings.extend(length(path, &text));
            findings.extend(header(path, &text));
            findings.extend(unfinished(path, &text));
            findings.extend(purity(path, &text));
        }
        if has_extension(path, "md") {
            findings.extend(links::dead(root, path, &text));
        }
    }
    let index = tree::read(root, "docs/adr/README.md").unwrap_or_default();
    findings.extend(unlisted_records(&files, &index));
    let map = tree::read(root, "ARCHITECTURE.md").unwrap_or_default();
    findings.extend(unmapped_crates(&files, &map));
    let readme = tree::read(root, "README.md").unwrap_or_default();
    findings.extend(unnamed_recipes(&tree::read(root, "justfile").unwrap_or_default(), &readme));
    Ok(findings)
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn is_rust(path: &str) -> bool {
    has_extension(path, "rs")
}

fn length(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| format!("{path}: {lines} lines, at most {LINES_MAX}: split it"))
}

fn size(path: &str, bytes: usize) -> Option<String> {
    let too_big = bytes > BYTES_MAX && !path.ends_with("Cargo.lock");
    too_big.then(|| format!("{path}: {bytes} bytes, at most {BYTES_MAX}: vectors and blocks stay outside"))
}

/// Inner attributes and a shebang may stand above the header; anything else may not.
fn header(path: &str, text: &str) -> Option<String> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    let has_header = first.is_some_and(|line| line.starts_with("//!"));
    (!has_header).then(|| format!("{path}: a module starts with `//!`: what it is and why the seam is here"))
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    // Written in pieces so that this file does not find itself.
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("X", "XX"),
    ];
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", index + 1);
        if let Some(word) = words.iter().find(|word| line.contains(**word)) {
            findings.push(format!("{place}: unfinished: {word}"));
        }
        if line.trim() == concat!("#[ign", "ore]") {
            findings.push(format!("{place}: an ignored test needs a reason and a command that runs it"));
        }
    }
    findings
}

/// Product code of the pure crates, up to the first `#[cfg(test)]`; tests may read vectors.
fn purity(path: &str, text: &str) -> Vec<String> {
    let is_test = path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/examples/");
    if is_test || !PURE.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            findings.push(format!(
                "{path}:{}: {word}: time, randomness, network and disk are arguments",
                index + 1
            ));
        }
    }
    findings
}

fn empty_names(files: &[String]) -> Vec<String> {
    let manifests = files.iter().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let name = |folder: &str| folder.rsplit('/').next().unwrap_or_default().to_owned();
    let empty = manifests.filter(|folder| EMPTY_NAMES.contains(&name(folder).as_str()));
    empty.map(|folder| format!("{folder}: a crate is called after what it is for")).collect()
}

/// A path below a home or a work folder ties the repository to one machine.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let roots = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for root in roots.iter().filter(|root| starts_a_path(line, root)) {
            findings.push(format!("{path}:{}: a path of one machine: {root}…", index + 1));
        }
    }
    findings
}

/// True when `root` occurs where an absolute path begins, not in the middle of a longer one.
fn starts_a_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + root.len()..].chars().next();
        let begins = !before.is_some_and(|c| c.is_alphanumeric() || "._-/)}>*".contains(c));
        begins && after.is_some_and(char::is_alphanumeric)
    })
}

fn unlisted_records(files: &[String], index: &str) -> Vec<String> {
    let records = files.iter().filter_map(|path| path.strip_prefix("docs/adr/"));
    let listed = links::targets(index);
    records
        .filter(|name| has_extension(name, "md") && *name != "README.md" && *name != "template.md")
        .filter(|name| !listed.iter().any(|(_, target)| target == name))
        .map(|name| format!("docs/adr/{name}: not in the index (docs/adr/README.md)"))
        .collect()
}

/// Every crate has a section in the map, with its invariant.
fn unmapped_crates(files: &[String], map: &str) -> Vec<String> {
    let folders = files.iter().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let sections: Vec<(&str, &str)> =
        map.split("\n### ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let is_mapped = |folder: &str| {
        let name = format!("`{folder}`");
        sections.iter().any(|(title, text)| title.contains(&name) && text.contains("**Invariant:**"))
    };
    let unmapped = folders.filter(|folder| !is_mapped(folder));
    unmapped.map(|folder| format!("{folder}: no section with an invariant in ARCHITECTURE.md")).collect()
}

/// `just` is a convenience: whoever lacks it finds each command in the README.
fn unnamed_recipes(justfile: &str, readme: &str) -> Vec<String> {
    let commands = justfile.lines().filter(|line| line.starts_with("    ")).map(str::trim);
    let plain = commands.map(|line| line.split("{{").next().unwrap_or_default().trim_end());
    let unnamed = plain.filter(|command| !readme.contains(command));
    unnamed.map(|command| format!("justfile: the README does not name `{command}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn this_repository_is_tidy() {
        assert_eq!(findings(&tree::root()).unwrap(), NONE);
    }

    #[test]
    fn a_file_may_have_650_lines_and_not_one_more() {
        assert_eq!(length("a.rs", &"x\n".repeat(650)), None);
        assert_eq!(length("a.rs", &"x\n".repeat(651)).unwrap(), "a.rs: 651 lines, at most 650: split it");
    }

    #[test]
    fn a_large_file_is_found_and_the_lock_file_is_not() {
        assert!(size("block.bin", BYTES_MAX + 1).is_some());
        assert!(size("Cargo.lock", BYTES_MAX + 1).is_none());
    }

    #[test]
    fn a_module_starts_with_its_header() {
        assert_eq!(header("a.rs", "//! What it is.\n"), None);
        assert_eq!(header("a.rs", "#![forbid(unsafe_code)]\n\n//! What it is.\n"), None);
        assert!(header("a.rs", "use std::fs;\n//! too late\n").is_some());
        assert!(header("a.rs", "").is_some());
    }

    #[test]
    fn unfinished_code_is_found() {
        for word in [concat!("to", "do!()"), concat!("unimple", "mented!()"), concat!("// FIX", "ME later")] {
            assert_eq!(unfinished("a.rs", word).len(), 1, "{word}");
        }
        assert_eq!(unfinished("a.rs", concat!("    #[ign", "ore]")).len(), 1);
        assert_eq!(unfinished("a.rs", "#[ignore = \"runs for an hour: just laws 1000\"]\nfn f() {}"), NONE);
    }

    #[test]
    fn a_rule_that_reads_the_clock_is_found() {
        let code = "let now = std::time::SystemTime::now();";
        assert_eq!(purity("crates/chain/src/driver.rs", code).len(), 1);
        assert_eq!(purity("crates/node/src/clock.rs", code), NONE);
        assert_eq!(purity("crates/chain/src/driver.rs", "// SystemTime is an argument"), NONE);
        assert_eq!(purity("crates/chain/src/driver.rs", "#[cfg(test)]\nuse std::fs;"), NONE);
        assert_eq!(purity("crates/ledger/utxo/tests/vectors.rs", "use std::fs;"), NONE);
    }

    #[test]
    fn a_crate_called_after_nothing_is_found() {
        let files = ["crates/common/Cargo.toml".to_owned(), "crates/chain/Cargo.toml".to_owned()];
        assert_eq!(empty_names(&files), ["crates/common: a crate is called after what it is for"]);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        assert_eq!(machine_paths("a.md", concat!("see /ho", "me/somebody/notes")).len(), 1);
        assert_eq!(machine_paths("a.md", concat!("/ro", "ot/.cargo")), NONE);
        assert_eq!(machine_paths("a.md", concat!("docs/wo", "rk/plan.md")), NONE);
    }

    #[test]
    fn a_record_outside_the_index_is_found() {
        let files = ["docs/adr/0001-seam.md".to_owned(), "docs/adr/0002-store.md".to_owned()];
        let index = "| [0001](0001-seam.md) | the seam |";
        assert_eq!(
            unlisted_records(&files, index),
            ["docs/adr/0002-store.md: not in the index (docs/adr/README.md)"]
        );
    }

    #[test]
    fn a_crate_without_an_invariant_in_the_map_is_found() {
        let files = ["crates/chain/Cargo.toml".to_owned(), "crates/store/Cargo.toml".to_owned()];
        let map = "# Map\n\n### `crates/chain`\n\n**Invariant:** no clock.\n\n### `crates/store`\n\nFiles.\n";
        assert_eq!(
            unmapped_crates(&files, map),
            ["crates/store: no section with an invariant in ARCHITECTURE.md"]
        );
    }

    #[test]
    fn a_recipe_the_readme_does_not_name_is_found() {
        let justfile = "# all\ntest *FLAGS:\n    cargo xtask test {{FLAGS}}\nfmt:\n    cargo fmt --all\n";
        assert_eq!(
            unnamed_recipes(justfile, "run `cargo xtask test`"),
            ["justfile: the README does not name `cargo fmt --all`"]
        );
    }
}
