"""What modalities say that they did, as columns of an exam's facts: parts of the one statement.

A performed step belongs to an order whose steps it means, or with whose studies it shares its
images. Those that took the wrong worklist entry are counted and otherwise left out, as are those
after which the exam was booked again. Whoever claimed the workitem of a step and canceled it has
given the exam up like a modality that discontinued it.
"""

from typing import Final, LiteralString

# Of the performed steps that are given as ``meant`` before it. Series of which everything was seen
# are not compared again: of the others each object is looked up.
_TAIL: Final[LiteralString] = """ meant
          join worklist.performed_procedure_step using (performed_key)
         cross join lateral (
               select coalesce(sum(cardinality(sop_instance_uids)), 0)::int as expected,
                      coalesce(sum(case when received then 0 else (
                          select count(*) from unnest(sop_instance_uids) as uid
                           where not exists (select from archive.instance
                                              where sop_instance_uid = uid)) end), 0)::int
                          as missing
                 from worklist.performed_series series
                where series.performed_key = meant.performed_key) made
         cross join lateral (
               select coalesce(status = 'DISCONTINUED' and discontinuation_reason_code = '110514'
                               and discontinuation_reason_scheme = 'DCM', false) as wrong) reason
         cross join lateral (select not wrong and set_aside_at is null as counts) counted
"""
_HEAD: Final[LiteralString] = """
 cross join lateral (
       select count(*) filter (where counts) as performed,
              count(*) filter (where status = 'IN PROGRESS') as performing,
              count(*) filter (where status = 'COMPLETED') as ended,
              string_agg(distinct performed_station_ae_title, ', ') as performed_by,
              min(started_at) filter (where counts) as performed_at,
              max(ended_at) filter (where counts) as ended_at,
              (array_agg(coalesce(nullif(discontinuation_reason_meaning, ''), 'no reason given')
                         order by ended_at desc)
                  filter (where status = 'DISCONTINUED' and counts))[1] as discontinued_for,
              count(*) filter (where wrong) as wrong_entries,
              coalesce(sum(expected) filter (where counts), 0)::int as expected,
              coalesce(sum(missing) filter (where counts), 0)::int as missing
         from """
FOR_ORDER: Final[LiteralString] = "".join((
    _HEAD,
    """(
              select performed_key from worklist.performance
                join scheduling.scheduled_procedure_step using (step_key)
               where scheduled_procedure_step.accession_number = o.accession_number
               union
              select performed_key from reconcile.link
                join worklist.scheduled_reference using (study_instance_uid)
               where link.order_key = o.order_key)""",
    _TAIL,
    """) performed
  left join lateral (
       select string_agg(distinct other_step.accession_number, ', ') as grouped_with
         from worklist.performance own
         join scheduling.scheduled_procedure_step own_step using (step_key)
         join worklist.performance other using (performed_key)
         join scheduling.scheduled_procedure_step other_step on other_step.step_key = other.step_key
        where own_step.accession_number = o.accession_number
          and other_step.accession_number <> o.accession_number
       ) grouped on performed.performed > 0
  left join lateral (
       select claimed_by as canceled_by, workitem.updated_at as canceled_at,
              coalesce(
                  nullif(attributes #>> '{00741002,Value,0,00741238,Value,0}', ''),
                  nullif(attributes #>> '{00741002,Value,0,0074100E,Value,0,00080104,Value,0}', ''),
                  'no reason given') as canceled_for
         from scheduling.scheduled_procedure_step step join worklist.workitem using (step_key)
        where step.accession_number = o.accession_number and not step.closed
          and step.performed_status = 'DISCONTINUED' and workitem.state = 'CANCELED'
          and claimed_by is not null and set_aside_at is null
          and not exists (
              select from scheduling.scheduled_procedure_step other
               where other.accession_number = o.accession_number
                 and other.performed_status in ('IN PROGRESS', 'COMPLETED'))
        order by workitem.updated_at desc limit 1
       ) given_up on true
""",
))
FOR_STUDY: Final[LiteralString] = "".join((
    _HEAD,
    """(
              select performed_key from worklist.scheduled_reference
               where scheduled_reference.study_instance_uid = s.study_instance_uid)""",
    _TAIL,
    ") performed\n",
))
COLUMNS: Final[LiteralString] = """
       performed.performed, performed.performing, performed.ended, performed.performed_by,
       performed.performed_at, performed.ended_at, performed.discontinued_for,
       performed.wrong_entries, performed.expected, performed.missing,
"""
