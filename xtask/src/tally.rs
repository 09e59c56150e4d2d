//! Reads what `cargo test` prints, line by line: counts, and leaves out what nobody reads.
//!
//! `--show-output` is the only way to see what a passing test said, and a skipped test is a passing test that
//! said `SKIPPED: …`. That flag also repeats the name of every passing test; those lines are not shown.

/// Counts over all suites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests and checks that passed.
    pub(crate) passed: u64,
    /// Tests and checks that failed.
    pub(crate) failed: u64,
    /// Tests that could not run here, and ignored ones.
    pub(crate) skipped: u64,
}

impl Tally {
    /// The last line of a run.
    pub(crate) fn summary(self) -> String {
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }

    /// Adds the counts of another run.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Where in libtest's output we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Anywhere that is shown.
    Open,
    /// In the part that repeats passing tests, with their output.
    Successes {
        /// The test whose output this is has already been counted as skipped.
        counted: bool,
    },
}

/// Follows the output of one command.
#[derive(Debug)]
pub(crate) struct Reader {
    place: Place,
    tally: Tally,
    /// Skipped tests of the current test binary: libtest reports them as passed.
    skipped_here: u64,
    /// The line before was blank or not shown.
    is_gap: bool,
}

impl Reader {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self { place: Place::Open, tally: Tally::default(), skipped_here: 0, is_gap: false }
    }

    /// The counts so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes one line in; says whether it is worth showing. Of the blank lines around hidden ones none is left.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        let is_shown = self.counted(line) && !(line.is_empty() && self.is_gap);
        self.is_gap = line.is_empty() || !is_shown;
        is_shown
    }

    fn counted(&mut self, line: &str) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.result(counts);
            return !counts.starts_with("ok. 0 passed; 0 failed; 0 ignored;");
        }
        if line.trim_end() == "failures:" {
            self.place = Place::Open;
            return true;
        }
        if line.trim_end() == "successes:" {
            self.place = Place::Successes { counted: false };
            return false;
        }
        let is_skip = line.starts_with("SKIPPED:") || line.contains(" ... SKIPPED:");
        match &mut self.place {
            Place::Open => {
                self.tally.skipped += u64::from(is_skip);
                let is_passed_test = line.starts_with("test ") && line.ends_with("... ok");
                !is_passed_test && line != "running 0 tests"
            }
            Place::Successes { counted } => {
                if line.starts_with("---- ") {
                    *counted = false;
                } else if is_skip && !*counted {
                    *counted = true;
                    self.skipped_here += 1;
                }
                is_skip
            }
        }
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; …`
    fn result(&mut self, counts: &str) {
        let count = |word: &str| -> u64 {
            let part = counts.split([';', '.']).find(|part| part.trim_end().ends_with(word));
            part.and_then(|part| part.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        self.tally.passed += count(" passed").saturating_sub(self.skipped_here);
        self.tally.failed += count(" failed");
        self.tally.skipped += count(" ignored") + self.skipped_here;
        self.skipped_here = 0;
        self.place = Place::Open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Tally, Vec<String>) {
        let mut reader = Reader::new();
        let shown = text.lines().filter(|line| reader.line(line)).map(str::to_owned).collect();
        (reader.tally(), shown)
    }

    #[test]
    fn results_of_all_suites_are_summed() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                    test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; in 0.1s";
        assert_eq!(read(text).0, Tally { passed: 5, failed: 1, skipped: 1 });
    }

    #[test]
    fn a_skipped_test_is_not_a_passed_one() {
        let text = "running 2 tests\ntest a ... ok\ntest b ... ok\n\nsuccesses:\n\n---- b stdout ----\n\
                    SKIPPED: no vectors\nSKIPPED: really none\nchatter\n\nsuccesses:\n    a\n    b\n\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let (tally, shown) = read(text);
        assert_eq!(tally, Tally { passed: 1, failed: 0, skipped: 1 });
        assert!(shown.contains(&"SKIPPED: no vectors".to_owned()));
        assert!(!shown.contains(&"chatter".to_owned()) && !shown.contains(&"    a".to_owned()));
    }

    #[test]
    fn a_skip_outside_a_test_counts_alone() {
        assert_eq!(read("SKIPPED: no peers").0, Tally { passed: 0, failed: 0, skipped: 1 });
    }

    #[test]
    fn output_of_failures_is_shown() {
        let text = "successes:\n\nsuccesses:\n    a\n\nfailures:\n\n---- b stdout ----\nleft: 1\n\n\
                    test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        assert!(read(text).1.contains(&"left: 1".to_owned()));
    }

    #[test]
    fn suites_without_tests_are_not_shown_and_compiler_messages_are() {
        let text = "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n\nerror: a\n\nerror: b";
        assert_eq!(read(text).1, ["", "error: a", "", "error: b"]);
    }

    #[test]
    fn the_summary_names_skipped_only_when_there_are_some() {
        assert_eq!(Tally { passed: 4, failed: 0, skipped: 0 }.summary(), "4 passed, 0 failed");
        assert_eq!(Tally { passed: 4, failed: 1, skipped: 2 }.summary(), "4 passed, 1 failed, 2 skipped");
    }
}
