//! Running one command after another, streaming what they say, with the time each took.

use crate::tally::{Reader, Tally};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, PipeReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one step came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// What the step is called.
    pub(crate) name: String,
    /// What repeats it by hand.
    pub(crate) command: String,
    /// The step's counts.
    pub(crate) tally: Tally,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A sequence of steps that goes on after a failure, so that one run shows everything there is to mend.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    done: Vec<Done>,
    /// Where lines go: the terminal, but for our own tests, whose output is itself counted.
    show: fn(&str),
}

impl Steps {
    /// No step yet; the clock runs from here.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), done: Vec::new(), show: |line| println!("{line}") }
    }

    /// A check that runs here and gives findings: none is one pass.
    pub(crate) fn check(
        &mut self,
        name: &str,
        command: &str,
        check: impl FnOnce() -> Result<Vec<String>, String>,
    ) {
        self.announce(name, command);
        let started = Instant::now();
        let findings = check().unwrap_or_else(|error| vec![error]);
        for finding in &findings {
            (self.show)(finding);
        }
        self.finish(name, command, verdict(findings.is_empty()), started.elapsed());
    }

    /// A command whose exit code is the answer: one pass or one failure.
    pub(crate) fn command(&mut self, name: &str, command: &mut Command) {
        self.run(name, command, false);
    }

    /// A command that runs tests: its counts are the answer.
    pub(crate) fn tests(&mut self, name: &str, command: &mut Command) {
        self.run(name, command, true);
    }

    fn run(&mut self, name: &str, command: &mut Command, has_tests: bool) {
        let shown = describe(command);
        self.announce(name, &shown);
        let started = Instant::now();
        let (success, mut tally) = match stream(command, self.show) {
            Ok(outcome) => outcome,
            Err(error) => {
                (self.show)(&error);
                (false, Tally::default())
            }
        };
        if !has_tests {
            let skipped = tally.skipped;
            tally = Tally { skipped, ..verdict(success) };
        } else if !success && tally.failed == 0 {
            // It did not compile, or a test binary died: no count says so.
            tally.failed = 1;
        }
        self.finish(name, &shown, tally, started.elapsed());
    }

    fn announce(&self, name: &str, command: &str) {
        (self.show)(&format!("\n== {} {name}: {command}", clock(self.started.elapsed())));
    }

    fn finish(&mut self, name: &str, command: &str, tally: Tally, took: Duration) {
        (self.show)(&format!(
            "== {} {name}: {} in {}",
            clock(self.started.elapsed()),
            tally.summary(),
            clock(took)
        ));
        self.done.push(Done { name: name.to_owned(), command: command.to_owned(), tally, took });
    }

    /// Counts one thing that could not run here.
    pub(crate) fn skip(&mut self, why: &str) {
        (self.show)(&format!("SKIPPED: {why}"));
        let tally = Tally { skipped: 1, ..Tally::default() };
        self.done.push(Done {
            name: "skipped".to_owned(),
            command: String::new(),
            tally,
            took: Duration::ZERO,
        });
    }

    /// Prints the times, what failed with the command that repeats it, and the summary alone on the last line.
    pub(crate) fn end(self) -> Result<(), String> {
        (self.show)(&format!("\n== {} all steps", clock(self.started.elapsed())));
        let mut total = Tally::default();
        for done in &self.done {
            total.add(done.tally);
            if done.took > Duration::from_secs(1) {
                (self.show)(&format!("   {:>7}  {}", clock(done.took), done.name));
            }
        }
        for done in self.done.iter().filter(|done| done.tally.failed > 0) {
            (self.show)(&format!("FAILED: {}\n   repeat with: {}", done.name, done.command));
        }
        (self.show)(&total.summary());
        if total.failed > 0 { std::process::exit(1) } else { Ok(()) }
    }
}

/// A command as one would type it, without settings of the environment.
fn describe(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let arguments = command.get_args().map(OsStr::to_string_lossy);
    let settings = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let settings = settings.map(|(name, value)| format!("{}='{}'", name.display(), value.display()));
    let words: Vec<String> =
        settings.chain([program]).chain(arguments.map(std::borrow::Cow::into_owned)).collect();
    words.join(" ")
}

fn verdict(success: bool) -> Tally {
    Tally { passed: u64::from(success), failed: u64::from(!success), skipped: 0 }
}

/// Minutes and seconds.
pub(crate) fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// Runs a command with both of its streams in one pipe, in the order they were written.
fn stream(command: &mut Command, show: fn(&str)) -> Result<(bool, Tally), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (reader, writer) = std::io::pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
    let second = writer.try_clone().map_err(|error| format!("cannot share a pipe: {error}"))?;
    let spawned = command.stdin(Stdio::null()).stdout(writer).stderr(second).spawn();
    // The command holds the pipe's writing end; unless it lets go, reading never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = spawned.map_err(|error| format!("cannot run {program}: {error}"))?;
    let tally = follow(reader, show)?;
    let status = child.wait().map_err(|error| format!("cannot wait: {error}"))?;
    Ok((status.success(), tally))
}

fn follow(pipe: PipeReader, show: fn(&str)) -> Result<Tally, String> {
    let mut reader = Reader::new();
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line).map_err(|error| format!("cannot read: {error}"))?;
        if length == 0 {
            return Ok(reader.tally());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if reader.line(text) {
            show(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Steps {
        Steps { show: |_| {}, ..Steps::new() }
    }

    #[test]
    fn a_failing_command_is_one_failure() {
        let mut steps = quiet();
        steps.command("fails", Command::new("false").arg("now"));
        steps.command("passes", &mut Command::new("true"));
        let counts: Vec<(u64, u64)> =
            steps.done.iter().map(|done| (done.tally.passed, done.tally.failed)).collect();
        assert_eq!(counts, [(0, 1), (1, 0)]);
        assert_eq!(steps.done[0].command, "false now");
    }

    #[test]
    fn a_test_command_that_dies_before_counting_is_a_failure() {
        let mut steps = quiet();
        steps.tests("dies", Command::new("sh").args(["-c", "echo running 1 test; exit 101"]));
        assert_eq!(steps.done[0].tally, Tally { passed: 0, failed: 1, skipped: 0 });
    }

    #[test]
    fn both_streams_are_counted() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; echo 'SKIPPED: no go' >&2";
        let mut steps = quiet();
        steps.tests("counts", Command::new("sh").args(["-c", script]));
        assert_eq!(steps.done[0].tally, Tally { passed: 2, failed: 0, skipped: 1 });
    }

    #[test]
    fn a_missing_program_is_a_failure_not_a_panic() {
        let mut steps = quiet();
        steps.command("missing", &mut Command::new("no-such-program-anywhere"));
        assert_eq!(steps.done[0].tally.failed, 1);
    }
}
