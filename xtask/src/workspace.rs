//! The workspace as cargo sees it: members, their dependencies, and which of them are oracles.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// One member of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The package's name.
    pub(crate) name: String,
    /// Names it depends on, for the product.
    pub(crate) normal: Vec<String>,
    /// Names it depends on for tests and build scripts only.
    pub(crate) dev: Vec<String>,
    /// Marked `[package.metadata.chainwright] oracle = true`: needs cmake and Boost headers to build.
    pub(crate) oracle: bool,
}

/// Every member, by name.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>, String> {
    let output = Command::new(cargo())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut members: Vec<Member> =
        metadata["packages"].as_array().into_iter().flatten().map(member).collect();
    members.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(members)
}

/// The cargo that runs us, or the one on the path.
pub(crate) fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn member(package: &Value) -> Member {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut member = Member {
        name: text(&package["name"]),
        normal: Vec::new(),
        dev: Vec::new(),
        oracle: package["metadata"]["chainwright"]["oracle"].as_bool().unwrap_or(false),
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        // `kind` is null for a dependency of the product, else "dev" or "build".
        let list = if dependency["kind"].is_null() { &mut member.normal } else { &mut member.dev };
        list.push(text(&dependency["name"]));
    }
    member
}
