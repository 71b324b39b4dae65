"""What a model's folder says: every key of its files is read, idle, refused, or warned of.

keys.py         the table, file by file
check.py        every key of a Hugging Face folder, looked up
newer.py        folders that a newer library wrote: translated, or refused
beside_task.py  tokenizer.json and preprocessor_config.json beside task.json
"""
