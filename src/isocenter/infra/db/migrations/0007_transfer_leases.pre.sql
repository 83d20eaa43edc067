-- Which destinations have a transfer under way is asked several times a second, also while thousands wait for one that is away.
create index transfer_leased on distribution.transfer (recipient, claimed_until)
    where claimed_until is not null and state in ('queued', 'sent');
