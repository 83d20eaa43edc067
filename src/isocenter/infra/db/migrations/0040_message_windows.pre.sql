-- Of what begins with a common word, only what is among the latest messages is looked at first: the index of the words says that
-- too, by 16,384 keys together.
drop index peers.message_words_found;
create index message_words_found on peers.message_words using gin (words, (array[message_key >> 14]))
  with (gin_pending_list_limit = 128);
