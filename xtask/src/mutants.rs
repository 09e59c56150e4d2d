//! Seeded mutants: known bugs, kept as patches, that the tests must find.
//!
//! A mutant is `xtask/mutants/NAME.patch`: a patch with these lines above it:
//!
//! ```text
//! # what: one sentence that names the bug
//! # found by: cargo test -p chainwright-… [filter]      (or cargo run …: it fails by its exit code)
//! # in ci: yes                                   (optional)
//! ```
//!
//! Each is applied to a copy of the tree, never to the tree itself. First the commands must pass on the copy
//! as it is; then, per mutant, the code must build and its command must fail. A mutant that survives, does not
//! apply or does not build is an error: the first means a missing test, the others a stale patch.

use crate::steps::clock;
use crate::{tree, workspace};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A test that runs longer than this on a mutant has not found it, it hangs.
const TEST_TIME_MAX: Duration = Duration::from_mins(15);

/// One seeded bug.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mutant {
    name: String,
    what: String,
    /// Arguments of cargo, the first of them `test` or `run`.
    found_by: Vec<String>,
    in_ci: bool,
    file: PathBuf,
}

/// `cargo xtask mutants`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let mut mutants = all()?;
    match arguments {
        ["--list"] => {
            for mutant in &mutants {
                let ci = if mutant.in_ci { " (in ci)" } else { "" };
                println!("{}{ci}: {}\n    cargo {}", mutant.name, mutant.what, mutant.found_by.join(" "));
            }
            return Ok(());
        }
        ["--ci"] => mutants.retain(|mutant| mutant.in_ci),
        [] => {}
        names => mutants = select(mutants, names)?,
    }
    if mutants.is_empty() {
        println!("mutants: none selected");
        return Ok(());
    }
    let bench = Bench::new()?;
    bench.baseline(&mutants)?;
    let survivors: Vec<String> = mutants.iter().filter_map(|mutant| bench.try_one(mutant).err()).collect();
    println!("mutants: {} of {} found", mutants.len() - survivors.len(), mutants.len());
    if survivors.is_empty() { Ok(()) } else { Err(survivors.join("\n")) }
}

/// Whether a mutant is marked for CI.
pub(crate) fn any_in_ci() -> Result<bool, String> {
    Ok(all()?.iter().any(|mutant| mutant.in_ci))
}

fn select(mutants: Vec<Mutant>, names: &[&str]) -> Result<Vec<Mutant>, String> {
    if let Some(unknown) = names.iter().find(|name| !mutants.iter().any(|mutant| mutant.name == **name)) {
        return Err(format!("no mutant is called {unknown}\nhint: cargo xtask mutants --list"));
    }
    Ok(mutants.into_iter().filter(|mutant| names.contains(&mutant.name.as_str())).collect())
}

fn all() -> Result<Vec<Mutant>, String> {
    let root = tree::root();
    let patches = tree::files(&root)?.into_iter().filter(|path| {
        path.starts_with("xtask/mutants/")
            && Path::new(path).extension().is_some_and(|found| found == "patch")
    });
    patches.map(|path| parse(&root.join(&path), &tree::read(&root, &path)?)).collect()
}

fn parse(file: &Path, text: &str) -> Result<Mutant, String> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let field = |key: &str| -> Option<String> {
        let mut header = text.lines().take_while(|line| line.starts_with('#'));
        let value = header.find_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix(key))?;
        Some(value.trim_start_matches([':', ' ']).trim().to_owned())
    };
    let what = field("what").ok_or_else(|| format!("{name}: no line `# what: …`"))?;
    let command = field("found by").ok_or_else(|| format!("{name}: no line `# found by: cargo test …`"))?;
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    match words.as_slice() {
        [cargo, found_by @ ..] if cargo == "cargo" && found_by.first().is_some_and(|word| runs(word)) => {
            let in_ci = field("in ci").is_some_and(|value| value == "yes");
            Ok(Mutant { name, what, found_by: found_by.to_vec(), in_ci, file: file.to_path_buf() })
        }
        _ => Err(format!(
            "{name}: `found by` must be a `cargo test …` or `cargo run …` command, got `{command}`"
        )),
    }
}

fn runs(subcommand: &str) -> bool {
    ["test", "run"].contains(&subcommand)
}

/// What builds all that a command runs, and runs nothing.
fn build_of(found_by: &[String]) -> Vec<String> {
    if found_by[0] == "run" {
        let options = found_by[1..].iter().take_while(|word| *word != "--");
        return std::iter::once("build".to_owned()).chain(options.cloned()).collect();
    }
    let mut build = found_by.to_vec();
    build.insert(1, "--no-run".to_owned());
    build
}

/// The copy that mutants are applied to, with a build folder of its own kept between runs.
#[derive(Debug)]
struct Bench {
    root: PathBuf,
    copy: PathBuf,
    build: PathBuf,
}

impl Bench {
    fn new() -> Result<Self, String> {
        let folder = tree::target_dir().join("mutants");
        let bench = Self { root: tree::root(), copy: folder.join("tree"), build: folder.join("build") };
        bench.restore()?;
        Ok(bench)
    }

    /// Makes the copy equal to the tree. Files that are equal keep their times, so cargo rebuilds little.
    fn restore(&self) -> Result<(), String> {
        let wanted = tree::files(&self.root)?;
        for path in &wanted {
            let from = std::fs::read(self.root.join(path)).map_err(|error| format!("{path}: {error}"))?;
            let to = self.copy.join(path);
            if std::fs::read(&to).is_ok_and(|present| present == from) {
                continue;
            }
            let folder = to.parent().expect("a joined path has a parent");
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&to, from))
                .map_err(|error| format!("{}: {error}", to.display()))?;
        }
        let wanted: BTreeSet<PathBuf> = wanted.iter().map(|path| self.copy.join(path)).collect();
        remove_others(&self.copy, &wanted).map_err(|error| format!("{}: {error}", self.copy.display()))
    }

    /// The commands must pass on the unchanged copy, or a failure on a mutant says nothing.
    fn baseline(&self, mutants: &[Mutant]) -> Result<(), String> {
        let commands: BTreeSet<&Vec<String>> = mutants.iter().map(|mutant| &mutant.found_by).collect();
        for found_by in commands {
            println!("without a mutant: cargo {}", found_by.join(" "));
            if !self.passes(found_by)? {
                return Err(format!("fails without a mutant: cargo {}", found_by.join(" ")));
            }
        }
        Ok(())
    }

    fn try_one(&self, mutant: &Mutant) -> Result<(), String> {
        let started = Instant::now();
        let found = self.apply(mutant).and_then(|()| self.is_found(mutant));
        self.restore()?;
        let verdict = if found.is_ok() { "found" } else { "NOT FOUND" };
        println!("{verdict} in {}: {}: {}", clock(started.elapsed()), mutant.name, mutant.what);
        found
    }

    fn apply(&self, mutant: &Mutant) -> Result<(), String> {
        // The ceiling keeps git from taking the copy for a part of the repository it lies in.
        let ceiling = self.copy.parent().expect("the copy lies in the mutants folder");
        let output = Command::new("git")
            .args(["apply", "--verbose"])
            .arg(&mutant.file)
            .current_dir(&self.copy)
            .env("GIT_CEILING_DIRECTORIES", ceiling)
            .output()
            .map_err(|error| format!("cannot run git: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{}: the patch does not apply\n{}", mutant.name, why.trim()))
    }

    fn is_found(&self, mutant: &Mutant) -> Result<(), String> {
        if !self.passes(&build_of(&mutant.found_by))? {
            return Err(format!("{}: the mutant does not build", mutant.name));
        }
        if self.passes(&mutant.found_by)? {
            let command = mutant.found_by.join(" ");
            return Err(format!("{}: survives `cargo {command}`: {}", mutant.name, mutant.what));
        }
        Ok(())
    }

    fn passes(&self, arguments: &[String]) -> Result<bool, String> {
        let log = self.build.with_extension("log");
        let output = std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(workspace::cargo());
        command.args(arguments).current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.build);
        if let Some(vectors) = vectors(&self.root) {
            command.env("CHAINWRIGHT_VECTORS", vectors);
        }
        let spawned = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let mut child = spawned.map_err(|error| format!("cannot run cargo: {error}"))?;
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(|error| format!("cannot wait: {error}"))? {
                return Ok(status.success());
            }
            if started.elapsed() > TEST_TIME_MAX {
                child.kill().and_then(|()| child.wait()).map_err(|error| format!("cannot stop: {error}"))?;
                return Err(format!("hangs: cargo {} (see {})", arguments.join(" "), log.display()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The copy lies elsewhere, so tests in it are told where the vectors are.
fn vectors(root: &Path) -> Option<PathBuf> {
    let beside = std::env::var_os("CHAINWRIGHT_VECTORS").map(PathBuf::from);
    let beside = beside.or_else(|| Some(root.parent()?.join("shared/vectors")));
    beside.filter(|folder| folder.is_dir())
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_of_the_repository_has_its_header() {
        all().unwrap();
    }

    #[test]
    fn a_header_is_read() {
        let text = "# what: spends have no effect\n# found by: cargo test -p chainwright-utxo spends\n# in ci: yes\ndiff --git a/x b/x\n";
        let mutant = parse(Path::new("xtask/mutants/spends.patch"), text).unwrap();
        assert_eq!(mutant.name, "spends");
        assert_eq!(mutant.what, "spends have no effect");
        assert_eq!(mutant.found_by, ["test", "-p", "chainwright-utxo", "spends"]);
        assert!(mutant.in_ci);
    }

    #[test]
    fn a_patch_without_a_command_is_refused() {
        let file = Path::new("a.patch");
        assert!(parse(file, "# what: x\ndiff").is_err());
        assert!(parse(file, "# what: x\n# found by: rm -r build\ndiff").is_err());
        assert!(parse(file, "# found by: cargo test\ndiff").is_err());
    }

    #[test]
    fn what_is_run_is_built_first() {
        let build =
            |command: &str| build_of(&command.split(' ').map(str::to_owned).collect::<Vec<_>>()).join(" ");
        assert_eq!(build("test -p a filter"), "test --no-run -p a filter");
        assert_eq!(build("run -p a --bin b -- --cell c"), "build -p a --bin b");
    }

    /// A small package of its own, so that the tool itself is proven without building ours.
    fn bench() -> (tempfile::TempDir, Bench) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let source = "//! Adds.\n/// Adds.\npub fn add(a: u8, b: u8) -> u8 {\n    a + b\n}\n#[test]\nfn adds() {\n    assert_eq!(add(1, 2), 3);\n}\n";
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::write(root.join("src/lib.rs"), source).unwrap();
        let manifest = "[workspace]\n[package]\nname = \"adder\"\nedition = \"2024\"\n";
        std::fs::write(root.join("Cargo.toml"), manifest).unwrap();
        assert!(Command::new("git").args(["init", "-q"]).current_dir(&root).status().unwrap().success());
        let work = folder.path().join("mutants");
        let bench = Bench { root, copy: work.join("tree"), build: work.join("build") };
        bench.restore().unwrap();
        (folder, bench)
    }

    fn mutant(bench: &Bench, before: &str, after: &str) -> Mutant {
        let file = bench.root.parent().unwrap().join("seed.patch");
        let hunk = format!(
            "--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -3,3 +3,3 @@\n pub fn add(a: u8, b: u8) -> u8 {{\n-    {before}\n+    {after}\n }}\n"
        );
        let text = format!("# what: adds wrongly\n# found by: cargo test\n{hunk}");
        std::fs::write(&file, &text).unwrap();
        parse(&file, &text).unwrap()
    }

    #[test]
    fn found_survived_stale_and_broken_mutants_are_told_apart() {
        let (_folder, bench) = bench();
        let found = mutant(&bench, "a + b", "a - b.min(a)");
        bench.baseline(std::slice::from_ref(&found)).unwrap();
        bench.try_one(&found).unwrap();
        let survives = bench.try_one(&mutant(&bench, "a + b", "b + a")).unwrap_err();
        assert!(survives.contains("survives"), "{survives}");
        let stale = bench.try_one(&mutant(&bench, "a * b", "a - b")).unwrap_err();
        assert!(stale.contains("does not apply"), "{stale}");
        let broken = bench.try_one(&mutant(&bench, "a + b", "a + c")).unwrap_err();
        assert!(broken.contains("does not build"), "{broken}");
        assert_eq!(
            std::fs::read(bench.root.join("src/lib.rs")).unwrap(),
            std::fs::read(bench.copy.join("src/lib.rs")).unwrap()
        );
    }
}
