//! Takes the program out of the document that explains it.
//!
//! Blocks marked `rust` become the ledger, blocks marked `rust,test` the tutorial's test; both in their order.

use std::path::Path;
use std::{env, fs};

const GUIDE: &str = "../../../docs/guide/your-ledger.md";

fn main() {
    println!("cargo::rerun-if-changed={GUIDE}");
    let guide = fs::read_to_string(GUIDE).expect("the guide lies in docs/guide");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    for (fence, file) in [("```rust", "ledger.rs"), ("```rust,test", "three_nodes.rs")] {
        fs::write(Path::new(&out).join(file), blocks(&guide, fence)).expect("OUT_DIR can be written to");
    }
}

/// All blocks that begin with exactly this line.
fn blocks(guide: &str, fence: &str) -> String {
    let mut code = String::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if line == fence {
            for line in lines.by_ref().take_while(|line| *line != "```") {
                code.push_str(line);
                code.push('\n');
            }
            code.push('\n');
        }
    }
    code
}
