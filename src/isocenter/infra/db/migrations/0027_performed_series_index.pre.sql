-- Which performed steps a series belongs to: images say less than the modality that made them.
create index performed_series_uid on worklist.performed_series (series_instance_uid);
