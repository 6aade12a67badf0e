"""A DICOM slide of one level, tiled full and uncompressed, that OpenSlide opens."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

TILE = 256
VL_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
ORIGIN_MM = (20.0, 40.0)
"""Of the total pixel matrix in the slide's frame."""


def write_dicom_slide(folder: Path, pixels: NDArray[np.uint8], *, mpp: float, name: str = "") -> Path:
    """The folder with the slide; pixels : uint8, shape (h, w, 3). Another `name` gives other UIDs."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.full((rows * TILE, columns * TILE, 3), 255, np.uint8)
    padded[:height, :width] = pixels
    frames = padded.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = VL_WHOLE_SLIDE
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = generate_uid(entropy_srcs=["instance", name])
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = (
        generate_uid(entropy_srcs=[k, name]) for k in "abc"
    )
    d.Modality, d.ImageType = "SM", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    d.PatientID, d.PatientName, d.PatientBirthDate, d.PatientSex = "1", "Nobody^", "", ""
    d.StudyID, d.StudyDate, d.StudyTime, d.AccessionNumber, d.ReferringPhysicianName = "1", "", "", "", ""
    d.SeriesNumber, d.InstanceNumber, d.ContentDate, d.ContentTime = 1, 1, "20260101", "000000"
    d.Manufacturer, d.ManufacturerModelName, d.DeviceSerialNumber, d.SoftwareVersions = "a", "b", "c", "d"
    d.DimensionOrganizationType, d.NumberOfFrames = "TILED_FULL", rows * columns
    d.Rows = d.Columns = TILE
    d.TotalPixelMatrixRows, d.TotalPixelMatrixColumns, d.TotalPixelMatrixFocalPlanes = height, width, 1
    d.SamplesPerPixel, d.PhotometricInterpretation, d.PlanarConfiguration = 3, "RGB", 0
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 8, 8, 7, 0
    d.ImagedVolumeWidth, d.ImagedVolumeHeight, d.ImagedVolumeDepth = width * mpp / 1000, height * mpp / 1000, 0.001
    d.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = ORIGIN_MM
    d.TotalPixelMatrixOriginSequence = Sequence([origin])
    measures, shared, path = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [mpp / 1000, mpp / 1000], 0.001
    shared.PixelMeasuresSequence = Sequence([measures])
    d.SharedFunctionalGroupsSequence = Sequence([shared])
    path.OpticalPathIdentifier = "1"
    d.OpticalPathSequence, d.NumberOfOpticalPaths = Sequence([path]), 1
    d.LossyImageCompression, d.BurnedInAnnotation, d.FocusMethod = "00", "NO", "AUTO"
    d.SpecimenLabelInImage, d.VolumetricProperties, d.ExtendedDepthOfField = "NO", "VOLUME", "NO"
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "1", generate_uid(entropy_srcs=["specimen", name])
    specimen.IssuerOfTheSpecimenIdentifierSequence = specimen.SpecimenPreparationSequence = Sequence([])
    d.ContainerIdentifier, d.SpecimenDescriptionSequence = "1", Sequence([specimen])
    d.IssuerOfTheContainerIdentifierSequence = d.ContainerTypeCodeSequence = Sequence([])
    d.PixelData = frames.tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    d.save_as(folder / "level-0.dcm", enforce_file_format=True)
    return folder
