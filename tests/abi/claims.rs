//! What `xen-sys` claims of Xen's headers, each claim with the C that asks for it.

use xen_sys::abi::{Layout, Mirror};

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// What it is, with our names.
    pub(crate) name: String,
    /// The value here.
    pub(crate) ours: i64,
    /// A constant expression of C for the same.
    pub(crate) theirs: String,
}

impl Claim {
    fn new(name: String, ours: impl TryInto<i64>, theirs: String) -> Claim {
        let ours = ours.try_into().ok().expect("a size is no more than that");
        Claim { name, ours, theirs }
    }
}

/// All of them.
pub(crate) fn of(mirrors: &[Mirror]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for mirror in mirrors {
        for layout in mirror.layouts {
            for theirs in layout.theirs {
                of_layout(layout, theirs, &mut claims);
            }
        }
        for number in mirror.numbers {
            let Some(theirs) = number.theirs else {
                continue;
            };
            let name = number.ours.to_owned();
            claims.push(Claim::new(name, number.value, theirs.to_owned()));
        }
    }
    claims
}

fn of_layout(layout: &Layout, theirs: &str, claims: &mut Vec<Claim>) {
    let name = layout.ours;
    claims.push(Claim::new(
        format!("{name} (size)"),
        layout.size,
        format!("sizeof({theirs})"),
    ));
    for field in layout.fields {
        let Some(twin) = field.theirs else { continue };
        let name = format!("{name}.{}", field.ours);
        claims.push(Claim::new(
            format!("{name} (offset)"),
            field.offset,
            format!("offsetof({theirs}, {twin})"),
        ));
        claims.push(Claim::new(
            format!("{name} (size)"),
            field.size,
            format!("sizeof((({theirs} *)0)->{twin})"),
        ));
    }
}

/// What is ours alone, and compared with nothing.
pub(crate) fn without_twin(mirrors: &[Mirror]) -> Vec<String> {
    let mut names = Vec::new();
    for mirror in mirrors {
        for layout in mirror.layouts {
            if layout.theirs.is_empty() {
                names.push(layout.ours.to_owned());
                continue;
            }
            let padding = layout.fields.iter().filter(|field| field.theirs.is_none());
            names.extend(padding.map(|field| format!("{}.{}", layout.ours, field.ours)));
        }
        let alone = mirror
            .numbers
            .iter()
            .filter(|number| number.theirs.is_none());
        names.extend(alone.map(|number| number.ours.to_owned()));
    }
    names
}

/// How much of what there is, in words.
pub(crate) fn counted(mirrors: &[Mirror]) -> String {
    let layouts = mirrors.iter().flat_map(|mirror| mirror.layouts);
    let layouts = layouts.map(|layout| (layout.theirs.len(), layout.fields));
    let (mut structures, mut fields) = (0, 0);
    for (types, all) in layouts {
        structures += types;
        fields += types * all.iter().filter(|field| field.theirs.is_some()).count();
    }
    let numbers = mirrors.iter().flat_map(|mirror| mirror.numbers);
    let numbers = numbers.filter(|number| number.theirs.is_some()).count();
    format!("{structures} structures with {fields} fields, and {numbers} numbers")
}
