"""Who the patients are: identifiers per assigning authority, demographics, merges."""
