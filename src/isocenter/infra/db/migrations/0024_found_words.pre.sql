-- A search reads all words that wait to be sorted into the index: a few pages of them, not 4 MB.
alter index peers.message_words_found set (gin_pending_list_limit = 128);
