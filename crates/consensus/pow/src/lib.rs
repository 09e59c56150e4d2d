//! Nakamoto proof of work.
