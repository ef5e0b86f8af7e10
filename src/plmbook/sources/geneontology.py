"""The Gene Ontology itself: `plmbook.function.ontology.read_obo` reads the file."""

from plmbook.sources.record import Source

SOURCE = Source(
    name="go",
    title="Gene Ontology, go-basic.obo",
    url="https://release.geneontology.org/2023-01-01/ontology/go-basic.obo",
    release="2023-01-01, the release of CAFA5",
    licence="CC BY 4.0",
    citation="The Gene Ontology Consortium, Genetics 2023, doi:10.1093/genetics/iyad031",
    note="Its file was never hashed here. The bundled relations are older (2013, CAFA2): see data/README.md.",
)
