-- What messages and their reactions need to be applied many at a time.

-- The next issued accession number that no order has; null when so many in a row were taken.
create function orders.issue_accession_number(prefix text, digits int, at_most int) returns text language plpgsql volatile as $$
declare
    issued bigint;
    candidate text;
begin
    for attempt in 1 .. at_most loop
        issued := nextval('orders.accession_number_issue');
        candidate := prefix || lpad(issued::text, greatest(digits, length(issued::text)), '0');
        if not exists (select from orders.imaging_order where accession_number = candidate) then
            return candidate;
        end if;
    end loop;
    return null;
end $$;
