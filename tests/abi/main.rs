//! The layouts and numbers of `xen-sys`, compared with Xen's own public headers.
//!
//! The headers are those of the base release and of a later one. What the base
//! does not have yet is told; what the last one does not have is a mistake.

#![forbid(unsafe_code)]

mod claims;
mod headers;
mod listing;

use claims::Claim;
use headers::Headers;
use xen_sys::abi::MIRRORS;

/// The releases, oldest first, and the variables that say where their headers are.
const RELEASES: [(&str, &str); 2] = [
    ("Xen 4.17", "LAMPION_XEN_HEADERS_4_17"),
    ("Xen 4.20", "LAMPION_XEN_HEADERS_4_20"),
];

/// What the comparison with one release found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// A line for each claim that the headers contradict.
    differences: Vec<String>,
    /// A line for each claim that the headers know nothing of.
    missing: Vec<String>,
}

/// Compares; an answer is missing where the headers do not have the name.
fn compare(release: &str, claims: &[Claim], answers: &[Option<i64>]) -> Findings {
    assert_eq!(claims.len(), answers.len(), "one answer for each claim");
    let mut findings = Findings::default();
    for (claim, answer) in claims.iter().zip(answers) {
        let (name, ours, theirs) = (&claim.name, claim.ours, &claim.theirs);
        match answer {
            None => findings
                .missing
                .push(format!("{name}: {release} has no {theirs}")),
            Some(answer) if *answer != ours => findings.differences.push(format!(
                "{name} is {ours} in xen-sys, and {answer} in {release}: {theirs}"
            )),
            Some(_) => {}
        }
    }
    findings
}

#[test]
#[ignore = "needs Xen's headers: cargo xtask abi"]
fn layouts_and_numbers_agree_with_xens_headers() {
    let claims = claims::of(MIRRORS);
    println!("no header has {}", claims::without_twin(MIRRORS).join(", "));
    let mut mistakes = Vec::new();
    for (index, (release, variable)) in RELEASES.into_iter().enumerate() {
        let directory = std::env::var_os(variable).expect("`cargo xtask abi` says where they are");
        let headers = Headers::new(variable, directory.into());
        let answers = headers.answers(MIRRORS, &claims);
        let findings = compare(release, &claims, &answers);
        let compared = answers.iter().flatten().count();
        let what = claims::counted(MIRRORS);
        println!("{release}: {compared} of {} values of {what}", claims.len());
        mistakes.extend(findings.differences);
        if index + 1 == RELEASES.len() {
            mistakes.extend(findings.missing);
        } else {
            for line in findings.missing {
                println!("newer than {release}, not compared: {line}");
            }
        }
    }
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn one_wrong_offset_is_one_line() {
    let claims = claims::of(MIRRORS);
    let right: Vec<Option<i64>> = claims.iter().map(|claim| Some(claim.ours)).collect();
    assert_eq!(compare("Xen 0", &claims, &right), Findings::default());

    let offset = |claim: &Claim| claim.name == "XenHvmParam.index (offset)";
    let at = claims.iter().position(offset).expect("it is a claim");
    let mut wrong = right.clone();
    wrong[at] = Some(8);
    let line = "XenHvmParam.index (offset) is 4 in xen-sys, and 8 in Xen 0: \
                offsetof(struct xen_hvm_param, index)";
    assert_eq!(compare("Xen 0", &claims, &wrong).differences, [line]);

    let mut older = right;
    older[at] = None;
    let line = "XenHvmParam.index (offset): Xen 0 has no offsetof(struct xen_hvm_param, index)";
    assert_eq!(compare("Xen 0", &claims, &older).missing, [line]);
}
