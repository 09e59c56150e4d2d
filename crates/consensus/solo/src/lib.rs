//! One key seals.
