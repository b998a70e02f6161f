"""The kinds of faults that the tests here try, and what each made better; "" where all of it held as it was."""

MENDED = {
    "a clock that is set back": "",
    "a file system without locks": "the work goes on unlocked, and a line says so",
    "a full disk, or a signal, while results are written": "a record counts as finished only with all its files; "
    "no temporary file stays, not even after Ctrl-C",
    "a locale that is not UTF-8": "text is read with its encoding named",
    "a record that names other code": "",
    "a wrong setting": "a variable from the environment says where it comes from",
    "builds that are killed": "a long printed line no longer keeps Ctrl-C from being heard",
    "code in a value": "make ran what stood in $(shell ...) inside a value; now it hands the text on",
    "damaged data files": "a pipe, a folder, a file that cannot be read in the place of data is named",
    "doors to the network": "the dashboard of the cluster's example listens on one machine alone",
    "files that could call code": "",
    "generated parameter sets": "a name of any length is quoted in part; what a terminal obeys is left out",
    "hostile archives of images": "archives whose files are not those expected are named",
    "hostile hand-ins": "bounded memory and time for each; bombs, links, double names, deep JSON are named",
    "images of one's own": "files that cannot be read are named",
    "markup where text is expected": "",
    "names of the machine on a page": "what a notebook prints or raises loses the home folder and the checkout's",
    "no home folder": "",
    "no room for sockets": "kernels change to TCP where the path is too long for a socket",
    "notebooks that end badly": "long lines no longer stall a build, thousands of prints are no longer lost, JSON "
    "nested too deep fails its own page alone",
    "resealed files with wrong types": "the form of a record is checked inside, too; what is damaged is trained again",
    "scripts without a guard": "one line before any worker starts",
    "servers that fail, stall or drip": "",
    "states of pages with wrong types": "a state of another form counts as none; it ended the build",
    "trainings that cannot end well": "a page shows which trainings failed and why, and keeps its other rows",
    "two builds at once": "",
    "waits that say nothing": "after five seconds a line says what is waited for",
    "wrong parameters, through each door": "JupyterLab and papermill show one line instead of a traceback",
}
SHOWN = {  # kinds in other words on the page
    "doors to the network": "services that other machines might reach",
    "hostile hand-ins": "files handed in to do harm to whoever checks them",
    "resealed files with wrong types": "files with values of the wrong type and a checksum that fits",
    "scripts without a guard": 'scripts that train outside of if __name__ == "__main__"',
    "wrong parameters, through each door": "wrong parameters: JupyterLab, papermill, command line",
}
