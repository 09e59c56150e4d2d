//! Bitcoin's ledger: unspent outputs and Script.
