//! Relative links in Markdown: each must lead to a file, and to a heading when it names one.

use std::path::{Component, Path, PathBuf};

/// The relative targets of one document, with their line numbers; code blocks and code spans are left out.
pub(crate) fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        let line = without_code_spans(line);
        found.extend(inline(&line).into_iter().chain(reference(&line)).map(|target| (index + 1, target)));
        found.extend(attributes(&line).into_iter().map(|target| (index + 1, target)));
    }
    found.retain(|(_, target)| is_relative(target));
    found
}

/// Links of `text`, the document at `path`, that lead nowhere.
pub(crate) fn dead(root: &Path, path: &str, text: &str) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new("")).to_path_buf();
    let mut findings = Vec::new();
    for (line, target) in targets(text) {
        let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
        let wanted = if file.is_empty() { PathBuf::from(path) } else { normal(&folder.join(file)) };
        let on_disk = root.join(&wanted);
        let missing_heading = || {
            let is_markdown = wanted.extension().is_some_and(|extension| extension == "md");
            let text = std::fs::read_to_string(&on_disk).unwrap_or_default();
            is_markdown && !heading.is_empty() && !headings(&text).iter().any(|known| known == heading)
        };
        if wanted.starts_with("..") {
            findings.push(format!("{path}:{line}: link leaves the repository: {target}"));
        } else if !on_disk.exists() {
            findings.push(format!("{path}:{line}: dead link: {target}"));
        } else if missing_heading() {
            findings.push(format!("{path}:{line}: no such heading: {target}"));
        }
    }
    findings
}

fn is_relative(target: &str) -> bool {
    !target.is_empty()
        && !target.contains("://")
        && !target.starts_with("mailto:")
        && !target.starts_with('<')
}

/// `](target)` and `](target "title")`.
fn inline(line: &str) -> Vec<String> {
    let parts = line.split("](").skip(1);
    parts.filter_map(|rest| rest.split([')', ' ']).next().map(str::to_owned)).collect()
}

/// `[name]: target` at the start of a line.
fn reference(line: &str) -> Option<String> {
    let (name, target) = line.strip_prefix('[')?.split_once("]: ")?;
    let is_footnote = name.starts_with('^');
    (!is_footnote).then(|| target.split_whitespace().next().unwrap_or_default().to_owned())
}

/// `src="target"` and `srcset="target"` of embedded HTML.
fn attributes(line: &str) -> Vec<String> {
    let parts = ["src=\"", "srcset=\"", "href=\""].into_iter().flat_map(|name| line.split(name).skip(1));
    parts.filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect()
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Anchors as code hosts make them: lower case, punctuation dropped, blanks to hyphens.
fn headings(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    lines.map(anchor).collect()
}

fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_targets(text: &str, expected: &[&str]) {
        let found: Vec<String> = targets(text).into_iter().map(|(_, target)| target).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn links_pictures_and_references_are_seen() {
        check_targets("see [a](a.md) and ![b](b.svg \"title\")", &["a.md", "b.svg"]);
        check_targets("[name]: docs/c.md", &["docs/c.md"]);
        check_targets("<img src=\"d.svg\">", &["d.svg"]);
    }

    #[test]
    fn code_and_web_addresses_are_not_links_of_ours() {
        check_targets("```\n[a](gone.md)\n```\n`[b](gone.md)` [c](https://example.org)", &[]);
    }

    #[test]
    fn a_dead_link_a_dead_heading_and_an_escape_are_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        std::fs::write(folder.path().join("docs/a.md"), "# One heading, two words\n").unwrap();
        let text = "[1](a.md) [2](a.md#one-heading-two-words) [3](a.md#other) [4](b.md) [5](../../x.md)";
        let expected = [
            "docs/c.md:1: no such heading: a.md#other",
            "docs/c.md:1: dead link: b.md",
            "docs/c.md:1: link leaves the repository: ../../x.md",
        ];
        assert_eq!(dead(folder.path(), "docs/c.md", text), expected);
    }
}
