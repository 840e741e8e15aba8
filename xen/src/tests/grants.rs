//! Grants: what the other side may touch, and when it is over.

use super::machine::attached;
use crate::Domid;
use crate::grant::GrantAccess;
use sim::grant::{GrantError, Need};

#[test]
fn the_grantee_sees_the_page_until_it_is_revoked() {
    let (machine, attachment) = attached(1);
    let mut page = attachment.pool.take().expect("a page");
    page[..5].copy_from_slice(b"hello");
    let mut grants = attachment.grants.borrow_mut();
    let grant = grants.grant(Domid(0), page, GrantAccess::ReadOnly);
    let grant = grant.expect("an entry");
    let reference = grant.reference().number();
    let mut seen = [0; 5];
    machine.with(|world| {
        let domain = &mut world.domain;
        let (arena, table) = (&domain.arena, &domain.grants);
        assert_eq!(table.copy_from(arena, (0, reference), 0, &mut seen), Ok(()));
        let refused = table.copy_to(arena, (0, reference), 0, b"x");
        assert_eq!(refused, Err(GrantError::PermissionDenied));
    });
    assert_eq!(&seen, b"hello");
    let page = grants.revoke(grant).expect("nobody has it mapped");
    assert_eq!(&page[..5], b"hello");
    machine.with(|world| {
        let domain = &mut world.domain;
        let gone = domain
            .grants
            .copy_from(&domain.arena, (0, reference), 0, &mut seen);
        assert_eq!(gone, Err(GrantError::BadReference));
    });
}

#[test]
fn a_page_that_stays_mapped_waits_in_quarantine() {
    let (machine, attachment) = attached(1);
    let page = attachment.pool.take().expect("a page");
    let mut grants = attachment.grants.borrow_mut();
    let grant = grants.grant(Domid(0), page, GrantAccess::ReadWrite);
    let grant = grant.expect("an entry");
    let reference = grant.reference().number();
    let mapping = machine.with(|world| {
        let domain = &mut world.domain;
        domain.grants.map(&domain.arena, 0, reference, Need::Write)
    });
    grants.revoke_or_quarantine(grant);
    grants.retry_quarantine();
    assert_eq!((grants.quarantined(), attachment.pool.free()), (1, 0));
    machine.with(|world| {
        let domain = &mut world.domain;
        let mapping = mapping.expect("it is granted");
        let unmapped = domain.grants.unmap(&domain.arena, mapping);
        assert_eq!(unmapped, Ok(()));
    });
    grants.retry_quarantine();
    assert_eq!((grants.quarantined(), grants.in_use()), (0, 0));
    assert_eq!(attachment.pool.free(), 1);
}
