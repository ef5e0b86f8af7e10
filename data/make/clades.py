"""Compile clades.tsv: the 100 genomes of UCSC's multiz100way with species, clade, and how far each is from us.

Names, groups and the order of the tree are UCSC's (README and hg38.100way.nh of the alignment); its groups *Mammal*,
*Sarcopterygii* and *Fish* are split further.  Identity is measured here, over the alignments of the genes.

Usage: python data/make/clades.py --from DIR [--out data]
DIR, or PLMBOOK_MIRROR, is the folder that holds the files; data/README.md names them.
"""

import door
import numpy as np
import pandas as pd
from bundled import write

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.sources import fetch, multiz
from plmbook.sources.record import tar_members

# Clade, its number of splits, then `assembly, species, common name` of each genome, in UCSC's order.  A split is the
# place on the human line, counted from us, where a lineage leaves it; one number where all of a clade leave at once.
SPECIES = """
Primates 0 1 2 3 4 5 5 5 5 6 6 7
hg38, Homo sapiens, human
panTro4, Pan troglodytes, chimp
gorGor3, Gorilla gorilla gorilla, gorilla
ponAbe2, Pongo pygmaeus abelii, orangutan
nomLeu3, Nomascus leucogenys, gibbon
rheMac3, Macaca mulatta, rhesus
macFas5, Macaca fascicularis, crab-eating macaque
papAnu2, Papio hamadryas, baboon
chlSab2, Chlorocebus sabaeus, green monkey
calJac3, Callithrix jacchus, marmoset
saiBol1, Saimiri boliviensis, squirrel monkey
otoGar3, Otolemur garnettii, bushbaby

other Euarchontoglires 8 9 9 9 9 9 9 9 9 9 9 9 9 9
tupChi1, Tupaia chinensis, Chinese tree shrew
speTri2, Spermophilus tridecemlineatus, squirrel
jacJac1, Jaculus jaculus, lesser Egyptian jerboa
micOch1, Microtus ochrogaster, prairie vole
criGri1, Cricetulus griseus, Chinese hamster
mesAur1, Mesocricetus auratus, golden hamster
mm10, Mus musculus, mouse
rn6, Rattus norvegicus, rat
hetGla2, Heterocephalus glaber, naked mole-rat
cavPor3, Cavia porcellus, guinea pig
chiLan1, Chinchilla lanigera, chinchilla
octDeg1, Octodon degus, brush-tailed rat
oryCun2, Oryctolagus cuniculus, rabbit
ochPri3, Ochotona princeps, pika

Laurasiatheria 10
susScr3, Sus scrofa, pig
vicPac2, Vicugna pacos, alpaca
camFer1, Camelus ferus, Bactrian camel
turTru2, Tursiops truncatus, dolphin
orcOrc1, Orcinus orca, killer whale
panHod1, Pantholops hodgsonii, Tibetan antelope
bosTau8, Bos taurus, cow
oviAri3, Ovis aries, sheep
capHir1, Capra hircus, domestic goat
equCab2, Equus caballus, horse
cerSim1, Ceratotherium simum, white rhinoceros
felCat8, Felis catus, cat
canFam3, Canis lupus familiaris, dog
musFur1, Mustela putorius furo, ferret
ailMel1, Ailuropoda melanoleuca, panda
odoRosDiv1, Odobenus rosmarus divergens, Pacific walrus
lepWed1, Leptonychotes weddellii, Weddell seal
pteAle1, Pteropus alecto, black flying-fox
pteVam1, Pteropus vampyrus, megabat
eptFus1, Eptesicus fuscus, big brown bat
myoDav1, Myotis davidii, David's myotis
myoLuc2, Myotis lucifugus, little brown bat
eriEur2, Erinaceus europaeus, hedgehog
sorAra2, Sorex araneus, shrew
conCri1, Condylura cristata, star-nosed mole

Afrotheria 11
loxAfr3, Loxodonta africana, elephant
eleEdw1, Elephantulus edwardii, Cape elephant shrew
triMan1, Trichechus manatus latirostris, manatee
chrAsi1, Chrysochloris asiatica, Cape golden mole
echTel2, Echinops telfairi, tenrec
oryAfe1, Orycteropus afer afer, aardvark

Xenarthra 11
dasNov3, Dasypus novemcinctus, armadillo

Marsupialia 12
monDom5, Monodelphis domestica, opossum
sarHar1, Sarcophilus harrisii, Tasmanian devil
macEug2, Macropus eugenii, wallaby

Monotremata 13
ornAna1, Ornithorhynchus anatinus, platypus

Birds 14
colLiv1, Columba livia, rock pigeon
falChe1, Falco cherrug, saker falcon
falPer1, Falco peregrinus, peregrine falcon
ficAlb2, Ficedula albicollis, collared flycatcher
zonAlb1, Zonotrichia albicollis, white-throated sparrow
geoFor1, Geospiza fortis, medium ground finch
taeGut2, Taeniopygia guttata, zebra finch
pseHum1, Pseudopodoces humilis, Tibetan ground jay
melUnd1, Melopsittacus undulatus, budgerigar
amaVit1, Amazona vittata, parrot
araMac1, Ara macao, scarlet macaw
anaPla1, Anas platyrhynchos, mallard duck
galGal4, Gallus gallus, chicken
melGal1, Meleagris gallopavo, turkey

Reptiles 14
allMis1, Alligator mississippiensis, American alligator
cheMyd1, Chelonia mydas, green seaturtle
chrPic2, Chrysemys picta bellii, painted turtle
pelSin1, Pelodiscus sinensis, Chinese softshell turtle
apaSpi1, Apalone spinifera, spiny softshell turtle
anoCar2, Anolis carolinensis, lizard

Amphibians 15
xenTro7, Xenopus tropicalis, X. tropicalis

Coelacanths 16
latCha1, Latimeria chalumnae, coelacanth

Ray-finned fish 17
tetNig2, Tetraodon nigroviridis, tetraodon
fr3, Takifugu rubripes, fugu
takFla1, Takifugu flavidus, yellowbelly pufferfish
oreNil2, Oreochromis niloticus, Nile tilapia
neoBri1, Neolamprologus brichardi, princess of Burundi
hapBur1, Haplochromis burtoni, Burton's mouthbreeder
mayZeb1, Maylandia zebra, zebra mbuna
punNye1, Pundamilia nyererei, Pundamilia nyererei
oryLat2, Oryzias latipes, medaka
xipMac1, Xiphophorus maculatus, southern platyfish
gasAcu1, Gasterosteus aculeatus, stickleback
gadMor1, Gadus morhua, Atlantic cod
danRer10, Danio rerio, zebrafish
astMex1, Astyanax mexicanus, Mexican tetra
lepOcu1, Lepisosteus oculatus, spotted gar

Lampreys 18
petMar2, Petromyzon marinus, lamprey
"""


def read_species(text: str) -> pd.DataFrame:
    """assembly, species, common_name, clade, split (int64)."""
    rows = []
    for block in text.strip().split("\n\n"):
        head, *lines = block.splitlines()
        words = head.split(" ")
        splits = [int(word) for word in words if word.isdigit()]
        clade = " ".join(word for word in words if not word.isdigit())
        for split, line in zip(splits * len(lines) if len(splits) == 1 else splits, lines, strict=len(splits) > 1):
            rows.append((*line.split(", "), clade, split))
    return pd.DataFrame(rows, columns=["assembly", "species", "common_name", "clade", "split"])


def measure(alignments: dict[str, multiz.Rows]) -> pd.DataFrame:
    """How alike each genome's proteins are to ours, the mean over genes: assembly, n_genes, aligned, identity.

    `aligned`: share of the human residues that have a residue; `identity`: share of those that have the same one, over
    the genes of which the genome has at least one residue (`n_genes`).
    """
    found = []
    for gene, rows in alignments.items():
        human = np.array(list(multiz.human_sequence(rows)))
        for assembly, row in rows.items():
            letters = np.array(list(row))[: len(human)]
            known = np.isin(letters, list(AMINO_ACIDS))
            same = float((letters == human)[known].mean()) if known.any() else np.nan
            found.append((assembly, gene, known.any(), known.mean(), same))
    table = pd.DataFrame(found, columns=["assembly", "gene", "n_genes", "aligned", "identity"])
    return table.groupby("assembly").agg({"n_genes": "sum", "aligned": "mean", "identity": "mean"}).reset_index()


def make_clades() -> pd.DataFrame:
    """The table; every assembly of the alignments is in it, and no other."""
    genes = tables.load("genes").set_index("gene")["transcript"]
    alignments = {
        gene: multiz.read_alignments(handle)[genes[gene]]
        for gene, handle in tar_members(fetch("multiz"))
        if genes.get(gene)
    }
    if any("-" in rows[multiz.HUMAN] for rows in alignments.values()):
        raise InputError("multiz100way: expected human rows without gaps")
    species = read_species(SPECIES)
    table = species.merge(measure(alignments), on="assembly", how="outer", validate="one_to_one", indicator=True)
    alone = table[table["_merge"] != "both"]
    if len(alone):
        raise InputError(f"clades: {', '.join(alone['assembly'])}: in the alignments or in the list, but not in both")
    print(f"clades: {len(table)} genomes, identity over {len(alignments)} genes")
    order = pd.Series(species.index, index=species["assembly"])
    return table.sort_values("assembly", key=lambda names: names.map(order))[list(tables.schema_of("clades").names)]


def main() -> None:
    args = door.parse(door.parser(__doc__))
    file, schema = tables.BUNDLED["clades"]
    path = args.out / file
    table = make_clades().round({"aligned": 4, "identity": 4})
    write(table, schema, path)
    print(f"{file}: {len(table)} rows, {path.stat().st_size} bytes")
    means = table.groupby("clade", sort=False)[["split", "aligned", "identity"]].mean()
    print(means.assign(genomes=table["clade"].value_counts()).round(3).to_string())


if __name__ == "__main__":
    main()
