"""Tables: their schemas, the readers that refuse a faulty file at the door, the bundled tables and the derived ones."""

from plmbook.tables.bundled import BUNDLED, load, schema_of
from plmbook.tables.readers import FastaFile, read_fasta, read_table, read_variants
from plmbook.tables.schema import Column, Schema, TableError, check
