//! The house rules that no linter knows: each is a test that names file, line and the mend.
//!
//! Rules read the checkout as text. They build nothing, need no network, and
//! take well under two seconds together. Each rule is a function from text to
//! findings, and has a test that shows it finding what is wrong in a sample.
//!
//! What the rules are and why: `STYLE.md`.

#![forbid(unsafe_code)]

mod tidy {
    mod code;
    mod contracts;
    mod dependencies;
    mod documents;
    mod finding;
    mod manifests;
    mod markdown;
    mod names;
    mod sources;
    mod strangers;
    mod tree;
    mod unsafe_code;
}
