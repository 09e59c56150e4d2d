//! `debug.log`: one line per event, in the line shape of Bitcoin Core, whose functional tests search the file.
//!
//! Each node has its own log, also when several run in one process.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::WallClock;

/// A log that can be written from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Option<(PathBuf, Mutex<File>)>,
    is_printed: bool,
    is_verbose: AtomicBool,
}

impl Log {
    /// A log that keeps nothing.
    pub fn none() -> Self {
        Self(Arc::new(Inner { file: None, is_printed: false, is_verbose: AtomicBool::new(false) }))
    }

    /// Appends to a file, and prints each line to standard output as well if `is_printed`.
    /// `is_verbose` keeps the lines of [`Log::debug`] too.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(file: &Path, is_printed: bool, is_verbose: bool) -> std::io::Result<Self> {
        let opened = OpenOptions::new().create(true).append(true).open(file)?;
        let file = Some((file.to_path_buf(), Mutex::new(opened)));
        Ok(Self(Arc::new(Inner { file, is_printed, is_verbose: AtomicBool::new(is_verbose) })))
    }

    /// Writes one line.
    pub fn line(&self, text: impl AsRef<str>) {
        let line = format!("{} {}\n", date_time(WallClock::real()), text.as_ref());
        if let Some((_, file)) = &self.0.file {
            // A log that cannot be written must not stop the node: the disk's own faults do.
            let _ = file.lock().write_all(line.as_bytes());
        }
        if self.0.is_printed {
            // A reader that has gone away (`| head`) is no reason to panic.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
    }

    /// Where the lines go, if to a file.
    pub fn path(&self) -> Option<&Path> {
        self.0.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// Whether the lines of [`Log::debug`] are kept.
    pub fn is_verbose(&self) -> bool {
        self.0.is_verbose.load(Ordering::Relaxed)
    }

    /// Keeps the lines of [`Log::debug`], or no longer does.
    pub fn set_verbose(&self, on: bool) {
        self.0.is_verbose.store(on, Ordering::Relaxed);
    }

    /// Writes one line if the log is verbose.
    pub fn debug(&self, text: impl AsRef<str>) {
        if self.is_verbose() {
            self.line(text);
        }
    }
}

/// A time since 1970 as `2026-11-22T18:25:45Z`.
pub fn date_time(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`, for days that are not negative).
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let check = |seconds, expected| assert_eq!(date_time(Duration::from_secs(seconds)), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(1_231_006_505, "2009-01-03T18:15:05Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(4_102_444_799, "2099-12-31T23:59:59Z");
    }

    #[test]
    fn lines_are_appended_and_debug_lines_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("debug.log");
        let log = Log::open(&path, false, false).unwrap();
        log.line("one");
        log.debug("two");
        Log::open(&path, false, true).unwrap().debug("three");
        let text = std::fs::read_to_string(&path).unwrap();
        let words: Vec<_> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
        assert_eq!(words, ["one", "three"]);
    }
}
