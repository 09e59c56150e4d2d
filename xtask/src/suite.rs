//! The test command of the README: every check and every test of the repository, in one run.

use crate::steps::Steps;
use crate::workspace::{self, Member};
use crate::{arrows, mutants, peers, tidy, tree};
use std::path::Path;
use std::process::Command;

/// The package of whole-product tests: it starts the binary and real peers, so it runs last.
const WHOLE_PRODUCT: &str = "chainwright-tests";

/// How much to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// Everything.
    Full,
    /// What a change needs while it is being written.
    Quick,
}

/// Runs the suites; ends with `N passed, N failed` alone on the last line.
pub(crate) fn run(breadth: Breadth) -> Result<(), String> {
    let root = tree::root();
    let members = workspace::members(&root)?;
    let mut steps = Steps::new();
    let left_out = left_out(&mut steps, &members);
    let oracles: Vec<&str> = left_out.iter().map(String::as_str).collect();

    steps.check("tidy", "cargo xtask tidy", || tidy::findings(&root));
    steps.check("arrows", "cargo xtask arrows", || arrows::findings(&root));
    steps.command("format", &mut cargo(&root, &["fmt", "--all", "--check"]));
    let clippy = &mut cargo(&root, &["clippy", "--workspace", "--all-targets"]);
    exclude(clippy, &oracles);
    steps.command("lints", clippy.args(["--", "-D", "warnings"]));

    let has_product_tests = members.iter().any(|member| member.name == WHOLE_PRODUCT);
    let mut besides = oracles.clone();
    if has_product_tests {
        besides.push(WHOLE_PRODUCT);
    }
    let tests = &mut cargo(&root, &["test", "--workspace", "--no-fail-fast"]);
    exclude(tests, &besides);
    steps.tests("tests", tests.args(["--", "--show-output"]));

    if breadth == Breadth::Full {
        let documentation = &mut cargo(&root, &["doc", "--no-deps", "--workspace"]);
        exclude(documentation, &oracles);
        steps.command("documentation", documentation.env("RUSTDOCFLAGS", "-D warnings"));
        if mutants::any_in_ci()? {
            steps.command("mutants", &mut cargo(&root, &["xtask", "mutants", "--ci"]));
        }
    }
    if breadth == Breadth::Full && has_product_tests {
        whole_product(&mut steps, &root);
    }
    steps.end()
}

fn whole_product(steps: &mut Steps, root: &Path) {
    if peers::missing() {
        steps.command("peers", &mut cargo(root, &["xtask", "peers"]));
    }
    steps.command("binary", &mut cargo(root, &["build", "-p", "chainwright-cli"]));
    let arguments = ["test", "-p", WHOLE_PRODUCT, "--no-fail-fast", "--", "--show-output"];
    steps.tests("whole product", &mut cargo(root, &arguments));
}

/// Members that cannot be built here, each said aloud.
fn left_out(steps: &mut Steps, members: &[Member]) -> Vec<String> {
    let oracles = members.iter().filter(|member| member.oracle);
    let required = std::env::var_os("CHAINWRIGHT_REQUIRE_ORACLES").is_some_and(|value| value == "1");
    if required || can_build_oracles() {
        return Vec::new();
    }
    let names: Vec<String> = oracles.map(|member| member.name.clone()).collect();
    for name in &names {
        steps.skip(&format!("{name} needs cmake and Boost headers (Debian: apt install cmake libboost-dev)"));
    }
    names
}

fn can_build_oracles() -> bool {
    let has_cmake =
        Command::new("cmake").arg("--version").output().is_ok_and(|output| output.status.success());
    let folders = ["/usr/include", "/usr/local/include", "/opt/homebrew/include"];
    has_cmake
        && folders.iter().any(|folder| Path::new(folder).join("boost/multi_index_container.hpp").exists())
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.args(arguments).current_dir(root);
    command
}

fn exclude(command: &mut Command, packages: &[&str]) {
    for package in packages {
        command.args(["--exclude", package]);
    }
}
