"""Models x explainers x metrics over a manifest: what are explanations worth, against everything else there is?

Where things are, in the order in which they happen:

- ``scores``      what is measured of an image: a new metric is a new entry there;
- ``plan``        what is compared with what, on which images, by which rules;
- ``explaining``  the maps of a batch, failures kept apart;
- ``records``     the numbers of each image on disk, so that a run that was stopped goes on;
- ``run``         puts these together;
- ``statistics``  from numbers per image to means, intervals and paired tests;
- ``tables``      the rows of the result; ``write`` puts them into files.
"""
