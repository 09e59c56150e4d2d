//! A names registry, the ledger of the tutorial.
