//! A names registry in less than 150 lines: the ledger of the tutorial.
//!
//! The program is [`docs/guide/your-ledger.md`](../../../../docs/guide/your-ledger.md); `build.rs` takes it out of there. Start
//! reading there.
//!
//! Invariant: what the document says is what is compiled, and it depends on nothing of ours but the seam.

#[expect(missing_docs, reason = "the text around the code documents it")]
#[allow(
    clippy::wildcard_imports,
    reason = "a tutorial should not begin with thirty imports; tests may anyway"
)]
mod ledger {
    include!(concat!(env!("OUT_DIR"), "/ledger.rs"));
}

pub use ledger::{Claim, Names, NamesBlock, NamesHeader, NamesPool, commitment, sha256};

#[cfg(test)]
mod tests {
    #[test]
    fn the_tutorial_is_shorter_than_150_lines() {
        let code = include_str!(concat!(env!("OUT_DIR"), "/ledger.rs"));
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!((100..150).contains(&lines), "{lines} lines");
    }
}
